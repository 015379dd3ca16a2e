// Owns maintenance policies: what to install, how to guard, when to restart, how to tell that a host is well.
// Promises that a change never reaches a plan made before it.
// Never decides about hosts: the planner does.
import { policiesRoutes } from './policies.routes.ts';
import { PoliciesService } from './policies.service.ts';
import type { PoliciesDeps } from './policies.service.ts';

export type { PoliciesService } from './policies.service.ts';

export function createPoliciesModule(deps: PoliciesDeps) {
  const service = new PoliciesService(deps);
  return { service, routes: policiesRoutes(service) };
}
