// Owns releases: the document that two people sign, their signatures, and the bundle by which an agent verifies them.
// Promises that a release is approved once, by different people other than the requester, and recorded before anything is dispatched.
// Never holds a key that could sign, and never sends anything to a host.
import type { ReleaseBundle } from '#contract/trust.ts';
import { releaseBundle } from './releases.bundle.ts';
import { ReleaseSigning } from './releases.signing.ts';
import type { ReleasesDeps } from './releases.deps.ts';
import { releasesRoutes } from './releases.routes.ts';
import { ReleasesService } from './releases.service.ts';

export type { ReleasedRun } from './releases.deps.ts';
export type { ReleasesService } from './releases.service.ts';

export function createReleasesModule(deps: ReleasesDeps) {
  const service = new ReleasesService(deps);
  const signing = new ReleaseSigning(deps);
  const bundleFor = (tenantId: string, releaseId: string, hostId: string): Promise<ReleaseBundle> =>
    releaseBundle(deps, tenantId, { releaseId, hostId });
  return { service, bundleFor, routes: releasesRoutes(service, signing) };
}
