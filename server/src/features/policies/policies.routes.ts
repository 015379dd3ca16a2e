import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { PoliciesService } from './policies.service.ts';

type Names =
  | 'listMaintenancePolicies'
  | 'createMaintenancePolicy'
  | 'getMaintenancePolicy'
  | 'updateMaintenancePolicy'
  | 'removeMaintenancePolicy';

export function policiesRoutes(service: PoliciesService): RouteHandlers<Routes, Names> {
  return {
    listMaintenancePolicies: ({ params, query }) => service.list(params.tenantId, idPage(query)),
    createMaintenancePolicy: (call) => service.create(tenantActor(call), call.body),
    getMaintenancePolicy: ({ params }) => service.get(params.tenantId, params.policyId),
    updateMaintenancePolicy: (call) =>
      service.update(tenantActor(call), { id: call.params.policyId, version: call.version }, call.body),
    removeMaintenancePolicy: async (call) => {
      await service.remove(tenantActor(call), call.params.policyId);
      return null;
    },
  };
}
