// Owns what runs leave to do: missed ones to plan again, postponements, reports that emergencies owe.
// Promises that a missed run is never forgotten and that nothing moves without a new release.
// Never starts anything and never changes what was signed.
import type { FollowUpsDeps } from './followups.deps.ts';
import { followUpsJobs } from './followups.jobs.ts';
import { followUpsRoutes } from './followups.routes.ts';
import { FollowUpsService } from './followups.service.ts';

export function createFollowUpsModule(deps: FollowUpsDeps) {
  const service = new FollowUpsService(deps);
  return { service, routes: followUpsRoutes(service), jobs: followUpsJobs(deps, service) };
}
