import type { Routes } from '#contract/routes.ts';
import type { Caller } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/http/idCursor.ts';
import type { PoliciesService, PolicyActor } from './policies.service.ts';

type Names =
  | 'listMaintenancePolicies'
  | 'createMaintenancePolicy'
  | 'getMaintenancePolicy'
  | 'updateMaintenancePolicy'
  | 'removeMaintenancePolicy';

function actor(call: {
  readonly params: { readonly tenantId: string };
  readonly caller: Caller;
}): PolicyActor {
  return { tenantId: call.params.tenantId, id: call.caller.id, kind: call.caller.kind };
}

export function policiesRoutes(service: PoliciesService): RouteHandlers<Routes, Names> {
  return {
    listMaintenancePolicies: async ({ params, query }) => {
      const { items, next, total } = await service.list(params.tenantId, idPage(query));
      return { items, nextCursor: next, total };
    },
    createMaintenancePolicy: (call) => service.create(actor(call), call.body),
    getMaintenancePolicy: ({ params }) => service.get(params.tenantId, params.policyId),
    updateMaintenancePolicy: (call) =>
      service.update(actor(call), { id: call.params.policyId, version: call.version }, call.body),
    removeMaintenancePolicy: async (call) => {
      await service.remove(actor(call), call.params.policyId);
      return null;
    },
  };
}
