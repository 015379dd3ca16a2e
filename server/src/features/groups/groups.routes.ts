import type { groupRoutes } from '#contract/groups.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { DependenciesService } from './dependencies.service.ts';
import type { GroupsService } from './groups.service.ts';

export function createGroupsRoutes(
  groups: GroupsService,
  dependencies: DependenciesService,
): RouteHandlers<typeof groupRoutes, keyof typeof groupRoutes> {
  const groupOf = (call: { params: { groupId: string }; version: number }) => ({
    id: call.params.groupId,
    version: call.version,
  });
  const dependencyOf = (call: { params: { dependencyId: string }; version: number }) => ({
    id: call.params.dependencyId,
    version: call.version,
  });
  return {
    listGroups: ({ params, query }) => groups.list(params.tenantId, idPage(query)),
    createGroup: (call) => groups.create(tenantActor(call), call.body),
    getGroup: ({ params }) => groups.get(params.tenantId, params.groupId),
    updateGroup: (call) => groups.update(tenantActor(call), groupOf(call), call.body),
    removeGroup: async (call) => {
      await groups.remove(tenantActor(call), groupOf(call));
      return null;
    },
    listHostDependencies: ({ params, query }) => dependencies.list(params.tenantId, idPage(query)),
    createHostDependency: (call) => dependencies.create(tenantActor(call), call.body),
    getHostDependency: ({ params }) => dependencies.get(params.tenantId, params.dependencyId),
    updateHostDependency: (call) => dependencies.update(tenantActor(call), dependencyOf(call), call.body),
    removeHostDependency: async (call) => {
      await dependencies.remove(tenantActor(call), dependencyOf(call));
      return null;
    },
    getHostRelations: ({ params }) => groups.relationsOf(params.tenantId, params.hostId),
  };
}
