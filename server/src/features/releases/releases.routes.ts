import type { Routes } from '#contract/routes.ts';
import { isAllowed } from '../../platform/http/caller.ts';
import type { Caller } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { ReleaseSigning } from './releases.signing.ts';
import type { ReleasesService } from './releases.service.ts';

type Names = 'createRelease' | 'listReleases' | 'getRelease' | 'signRelease' | 'refuseRelease';

function scope(call: { readonly params: { readonly tenantId: string }; readonly caller: Caller }) {
  const { tenantId } = call.params;
  const maySign = call.caller.kind === 'person' && isAllowed(call.caller, 'releases.sign', tenantId);
  return { tenantId, viewer: { id: call.caller.id, kind: call.caller.kind, maySign } };
}

export function releasesRoutes(
  service: ReleasesService,
  signing: ReleaseSigning,
): RouteHandlers<Routes, Names> {
  return {
    createRelease: (call) => service.create(scope(call), call.params.planId, call.body),
    listReleases: (call) =>
      service.list(scope(call), { ...idPage(call.query), state: call.query.state ?? null }),
    getRelease: (call) => service.get(scope(call), call.params.releaseId),
    signRelease: async (call) => {
      await signing.sign(scope(call), call.params.releaseId, call.body.signature);
      return service.get(scope(call), call.params.releaseId);
    },
    refuseRelease: (call) => service.refuse(scope(call), call.params.releaseId, call.body.reason),
  };
}
