import type { exceptionRoutes } from '#contract/exceptions.ts';
import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { ExceptionsService } from './exceptions.service.ts';

export function exceptionsRoutes(
  service: ExceptionsService,
): RouteHandlers<Routes, keyof typeof exceptionRoutes> {
  const said = (call: { params: { exceptionId: string }; body: { reason: string } }) => ({
    exceptionId: call.params.exceptionId,
    reason: call.body.reason,
  });
  return {
    listExceptions: ({ params, query }) => service.list(params.tenantId, query),
    getException: ({ params }) => service.get(params.tenantId, params.exceptionId),
    getExceptionAlerts: ({ params }) => service.alerts(params.tenantId),
    createException: (call) => service.create(tenantActor(call), call.body),
    approveException: (call) => service.decide(tenantActor(call), 'approve', said(call)),
    refuseException: (call) => service.decide(tenantActor(call), 'refuse', said(call)),
    revokeException: (call) => service.decide(tenantActor(call), 'revoke', said(call)),
  };
}
