import type { reachRoutes } from '#contract/reach.ts';
import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { ReachService } from './reach.service.ts';

export function createReachRoutes(service: ReachService): RouteHandlers<Routes, keyof typeof reachRoutes> {
  return {
    listSshAccesses: ({ params, query }) => service.list(params.tenantId, idPage(query), query.hostId),
    readSshHostKeys: (call) => service.readHostKeys(tenantActor(call), call.body),
    createSshAccess: (call) => service.create(tenantActor(call), call.body),
    testSshAccess: (call) => service.test(tenantActor(call), call.params.sshAccessId),
    replaceSshKey: (call) =>
      service.replaceKey(tenantActor(call), call.params.sshAccessId, call.body.privateKey),
    activateSshAccess: (call) =>
      service.activate(tenantActor(call), call.params.sshAccessId, call.body.reason),
    deactivateSshAccess: (call) =>
      service.deactivate(tenantActor(call), call.params.sshAccessId, call.body.reason),
    removeSshAccess: async (call) => {
      await service.remove(tenantActor(call), call.params.sshAccessId);
      return null;
    },
  };
}
