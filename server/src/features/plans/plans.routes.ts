import type { Routes } from '#contract/routes.ts';
import type { Caller } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/http/idCursor.ts';
import type { PlanActor, PlansService } from './plans.service.ts';

function actor(call: { readonly params: { readonly tenantId: string }; readonly caller: Caller }): PlanActor {
  return { tenantId: call.params.tenantId, id: call.caller.id, kind: call.caller.kind };
}

export function plansRoutes(
  service: PlansService,
): RouteHandlers<Routes, 'previewPlan' | 'createPlan' | 'listPlans' | 'getPlan'> {
  return {
    previewPlan: (call) => service.preview(actor(call), call.body),
    createPlan: (call) => service.create(actor(call), call.body),
    listPlans: async ({ params, query }) => {
      const { items, next, total } = await service.list(params.tenantId, idPage(query));
      return { items, nextCursor: next, total };
    },
    getPlan: ({ params }) => service.get(params.tenantId, params.planId),
  };
}
