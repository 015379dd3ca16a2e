// Owns redundancy sets and dependencies: who may be down together, who comes before whom.
// Promises that a group names hosts of its own tenant, each once, and a budget that it can have.
// Never orders hosts and never stops a run: the planner and the runs do, with what it tells them.
import { DependenciesService } from './dependencies.service.ts';
import type { GroupsDeps } from './groups.deps.ts';
import { createGroupsRoutes } from './groups.routes.ts';
import { GroupsService } from './groups.service.ts';

export function createGroupsModule(deps: GroupsDeps) {
  const service = new GroupsService(deps);
  return { service, routes: createGroupsRoutes(service, new DependenciesService(deps)) };
}
