import type { releaseRoutes } from '#contract/releases.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { ApproverKeysService, KeyBody } from './approverKeys.service.ts';
import type { LocksService } from './locks.service.ts';
import type { TrustService } from './trust.service.ts';

/** Routes of the contract that this feature answers. */
export type TrustRouteNames =
  | 'getTrust'
  | 'startApproverKey'
  | 'createApproverKey'
  | 'draftPolicyDocument'
  | 'publishPolicyDocument'
  | 'getLock'
  | 'draftLock'
  | 'closeLock'
  | 'openLock';

export function createTrustRoutes(deps: {
  readonly service: TrustService;
  readonly keys: ApproverKeysService;
  readonly locks: LocksService;
}): RouteHandlers<typeof releaseRoutes, TrustRouteNames> {
  const { service, keys, locks } = deps;
  return {
    getTrust: ({ params }) => service.state(params.tenantId),
    startApproverKey: ({ params, caller }) => keys.start(params.tenantId, caller),
    createApproverKey: ({ params, caller, body }) => keys.create(params.tenantId, caller, body as KeyBody),
    draftPolicyDocument: ({ params, caller, body }) => service.draft(params.tenantId, caller, body),
    publishPolicyDocument: ({ params, caller, body }) =>
      service.publish(params.tenantId, caller, body.envelope),
    getLock: ({ params }) => locks.state(params.tenantId),
    draftLock: ({ params, caller, body }) => locks.draft(params.tenantId, caller, body),
    closeLock: ({ params, caller, body }) => locks.close(params.tenantId, caller, body.envelope),
    openLock: ({ params, caller, body }) => locks.open(params.tenantId, caller, body.envelope),
  };
}
