// Owns the customer's policy documents, the approvers' keys and the emergency stop.
// Promises that a document is published only when the customer's root keys signed it and it follows the one before.
// Never holds a root key, and never decides for an agent: agents verify the same documents by themselves.
import type { releaseRoutes } from '#contract/releases.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { ApproverKeysService } from './approverKeys.service.ts';
import { LocksService } from './locks.service.ts';
import type { TrustDeps, TrustListeners } from './trust.deps.ts';
import { createTrustRoutes, type TrustRouteNames } from './trust.routes.ts';
import { TrustService } from './trust.service.ts';

export type { TrustDeps, TrustListeners } from './trust.deps.ts';
export type { TrustService } from './trust.service.ts';
export type { LocksService } from './locks.service.ts';

export interface TrustModule {
  readonly service: TrustService;
  readonly locks: LocksService;
  readonly routes: RouteHandlers<typeof releaseRoutes, TrustRouteNames>;
  /** Connects the feature with the link, which needs it first. */
  readonly tell: (listeners: TrustListeners) => void;
}

export function createTrustModule(deps: TrustDeps): TrustModule {
  let listeners: TrustListeners = { policyPublished: () => undefined, lockChanged: () => undefined };
  const current = (): TrustListeners => listeners;
  const service = new TrustService(deps, current);
  const locks = new LocksService(deps, current);
  const keys = new ApproverKeysService(deps);
  return {
    service,
    locks,
    routes: createTrustRoutes({ service, keys, locks }),
    tell: (given) => {
      listeners = given;
    },
  };
}
