import type { quarantineRoutes as described } from '#contract/quarantine.ts';
import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { QuarantineService } from './quarantine.service.ts';

export function quarantineRoutes(service: QuarantineService): RouteHandlers<Routes, keyof typeof described> {
  return {
    listUpdateQuarantines: ({ params, query }) => service.list(params.tenantId, idPage(query)),
    liftUpdateQuarantine: (call) =>
      service.lift(tenantActor(call), call.params.quarantineId, call.body.reason),
    getQuarantineRule: ({ params }) => service.getRule(params.tenantId),
    updateQuarantineRule: (call) => service.updateRule(tenantActor(call), call.body),
  };
}
