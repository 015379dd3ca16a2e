import type { Routes } from '#contract/routes.ts';
import type { windowRoutes } from '#contract/windows.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { WindowsService } from './windows.service.ts';

export function windowsRoutes(service: WindowsService): RouteHandlers<Routes, keyof typeof windowRoutes> {
  const { windows, freezes } = service;
  return {
    listWindows: ({ params, query }) => windows.list(params.tenantId, idPage(query)),
    createWindow: (call) => windows.create(tenantActor(call), call.body),
    getWindow: ({ params }) => windows.get(params.tenantId, params.windowId),
    listWindowOccurrences: ({ params }) => service.occurrences(params.tenantId, params.windowId),
    updateWindow: (call) =>
      windows.update(tenantActor(call), { id: call.params.windowId, version: call.version }, call.body),
    removeWindow: async (call) => {
      await windows.remove(tenantActor(call), { id: call.params.windowId, version: call.version });
      return null;
    },
    previewWindow: ({ params, body }) => service.previewWindow(params.tenantId, body),
    listFreezes: ({ params, query }) => freezes.list(params.tenantId, idPage(query)),
    createFreeze: (call) => freezes.create(tenantActor(call), call.body),
    getFreeze: ({ params }) => freezes.get(params.tenantId, params.freezeId),
    updateFreeze: (call) =>
      freezes.update(tenantActor(call), { id: call.params.freezeId, version: call.version }, call.body),
    removeFreeze: async (call) => {
      await freezes.remove(tenantActor(call), { id: call.params.freezeId, version: call.version });
      return null;
    },
    previewFreeze: ({ params, body }) => service.previewFreeze(params.tenantId, body),
  };
}
