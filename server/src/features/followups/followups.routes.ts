import type { followUpRoutes } from '#contract/followups.ts';
import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { FollowUpsService } from './followups.service.ts';

export function followUpsRoutes(
  service: FollowUpsService,
): RouteHandlers<Routes, keyof typeof followUpRoutes> {
  return {
    listFollowUps: ({ params }) => service.list(params.tenantId),
    getRunFollowUp: ({ params }) => service.get(params.tenantId, params.runId),
    answerMissedRun: (call) => service.answer(tenantActor(call), call.params.runId, call.body),
    postponeRun: (call) => service.postpone(tenantActor(call), call.params.runId, call.body.reason),
    writeEmergencyReport: (call) => service.writeReport(tenantActor(call), call.params.runId, call.body.text),
  };
}
