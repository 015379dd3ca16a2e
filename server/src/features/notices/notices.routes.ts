import type { noticeRoutes } from '#contract/notices.ts';
import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { NoticesService } from './notices.service.ts';

export function noticesRoutes(service: NoticesService): RouteHandlers<Routes, keyof typeof noticeRoutes> {
  return {
    getNoticeSettings: ({ params }) => service.settings(params.tenantId),
    updateNoticeSettings: (call) => service.updateSettings(tenantActor(call), call.version, call.body),
    listPlanNotices: ({ params }) => service.list(params.tenantId, params.planId),
  };
}
