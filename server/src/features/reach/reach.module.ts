// Owns SSH accesses: where hosts without an agent are, whom they must prove to be, and the keys that open them.
// Promises that a key is sealed at rest, given to one job at a time, and that only a person changes who drives a host.
// Never decides what a host does: orders are those that people released, checked by the engine on the host.
import type { ReachDeps } from './reach.deps.ts';
import { createReachRoutes } from './reach.routes.ts';
import { ReachService } from './reach.service.ts';

export type { OpenAccess, ReachDeps, ReachFault } from './reach.deps.ts';
export type { ReachService } from './reach.service.ts';

export function createReachModule(deps: ReachDeps) {
  const service = new ReachService(deps);
  return { service, routes: createReachRoutes(service) };
}
