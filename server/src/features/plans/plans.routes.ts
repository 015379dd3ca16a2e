import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { PlansService } from './plans.service.ts';

export function plansRoutes(
  service: PlansService,
): RouteHandlers<Routes, 'previewPlan' | 'createPlan' | 'listPlans' | 'getPlan'> {
  return {
    previewPlan: (call) => service.preview(tenantActor(call), call.body),
    createPlan: (call) => service.create(tenantActor(call), call.body),
    listPlans: ({ params, query }) => service.list(params.tenantId, idPage(query)),
    getPlan: ({ params }) => service.get(params.tenantId, params.planId),
  };
}
