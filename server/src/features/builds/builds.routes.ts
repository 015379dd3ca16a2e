import type { buildRoutes as described } from '#contract/builds.ts';
import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { BuildsService } from './builds.service.ts';

export function buildRoutes(service: BuildsService): RouteHandlers<Routes, keyof typeof described> {
  return {
    listAgentBuilds: ({ params, query }) => service.listBuilds(params.tenantId, idPage(query)),
    importAgentBuild: (call) => service.importBuild(tenantActor(call), call.body),
    listBuildRollouts: ({ params, query }) => service.listRollouts(params.tenantId, idPage(query)),
    startBuildRollout: (call) => service.start(tenantActor(call), call.body),
    stopBuildRollout: (call) => service.stop(tenantActor(call), call.params.rolloutId, call.body.reason),
    listBuildAsks: ({ params, query }) => service.listAsks(params.tenantId, idPage(query), query),
  };
}
