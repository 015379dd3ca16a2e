import { Type, type Static } from 'typebox';
import { agentStates } from '#contract/fleet.ts';
import { defineRoute, NoContent, Page, pageQuery } from '#contract/route.ts';
import { Count, Instant, Line, OneOf, Prose, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

/**
 * What one host has to do with another, seen from the first to the second.
 * - `guest_before_hypervisor`: a guest that is finished before its hypervisor begins; the usual case.
 * - `guest_after_hypervisor`: a guest that begins once its hypervisor is finished.
 * - `service_after_provider`: a service that begins once the host it needs is finished.
 * A hypervisor takes its guests down with it, whichever of the two comes first; a provider does not.
 */
export const dependencyKinds = [
  'guest_before_hypervisor',
  'guest_after_hypervisor',
  'service_after_provider',
] as const;
export type DependencyKind = (typeof dependencyKinds)[number];

/** How many members of a group may be down at once (`max_unavailable`), or must stay up (`min_up`). */
export const DisruptionBudget = Strict({
  kind: OneOf(['max_unavailable', 'min_up']),
  hosts: Type.Integer({ minimum: 0, maximum: 1000 }),
});
export type DisruptionBudget = Static<typeof DisruptionBudget>;

/** A redundancy set as people write it. `hostIds` is also the order in which members are taken when `ordered`. */
export const GroupBody = Strict({
  name: Line(120),
  description: Prose(1000),
  hostIds: Type.Array(Uuid, { minItems: 1, maxItems: 1000 }),
  budget: DisruptionBudget,
  ordered: Type.Boolean(),
});

export const Group = Strict({
  id: Uuid,
  name: Line(120),
  description: Prose(1000),
  budget: DisruptionBudget,
  /** Members that may be down at the same time, computed from the budget and their number. */
  maxDown: Count,
  ordered: Type.Boolean(),
  members: Type.Array(Strict({ hostId: Uuid, hostname: Line(253), agentState: OneOf(agentStates) })),
  createdAt: Instant,
  updatedAt: Instant,
  version: Type.Integer(),
});

export const HostDependencyBody = Strict({
  dependentHostId: Uuid,
  providerHostId: Uuid,
  kind: OneOf(dependencyKinds),
});

export const HostDependency = Strict({
  id: Uuid,
  dependentHostId: Uuid,
  dependentHostname: Line(253),
  providerHostId: Uuid,
  providerHostname: Line(253),
  kind: OneOf(dependencyKinds),
  createdAt: Instant,
  updatedAt: Instant,
  version: Type.Integer(),
});

/** What a host has to do with others, for its page. */
export const HostRelations = Strict({
  /** ATLAS itself runs on it: maintained last and alone. */
  carriesAtlas: Type.Boolean(),
  groups: Type.Array(Group),
  dependencies: Type.Array(HostDependency),
});

const groupParams = Strict({ tenantId: Uuid, groupId: Uuid });
const dependencyParams = Strict({ tenantId: Uuid, dependencyId: Uuid });

export const groupRoutes = {
  listGroups: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/groups',
    permission: 'fleet.read',
    audit: null,
    summary: 'Groups of hosts and how many of each may be down at once',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(Group),
  }),
  createGroup: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/groups',
    permission: 'fleet.manage',
    audit: 'group.created',
    summary: 'Create a group',
    params: tenantParams,
    body: GroupBody,
    response: Group,
    status: 201,
    errors: ['already_exists'],
  }),
  getGroup: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/groups/:groupId',
    permission: 'fleet.read',
    audit: null,
    summary: 'One group',
    params: groupParams,
    response: Group,
  }),
  updateGroup: defineRoute({
    method: 'PUT',
    path: '/api/v1/tenants/:tenantId/groups/:groupId',
    permission: 'fleet.manage',
    audit: 'group.updated',
    ifMatch: true,
    summary: 'Members, budget and order of a group; runs under way keep to the new budget at once',
    params: groupParams,
    body: GroupBody,
    response: Group,
    errors: ['already_exists'],
  }),
  removeGroup: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/groups/:groupId',
    permission: 'fleet.manage',
    audit: 'group.removed',
    ifMatch: true,
    summary: 'Remove a group; its hosts stay',
    params: groupParams,
    response: NoContent,
    status: 204,
  }),
  listHostDependencies: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/host-dependencies',
    permission: 'fleet.read',
    audit: null,
    summary: 'What hosts have to do with each other',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(HostDependency),
  }),
  createHostDependency: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/host-dependencies',
    permission: 'fleet.manage',
    audit: 'host_dependency.created',
    summary: 'Say what a host has to do with another',
    params: tenantParams,
    body: HostDependencyBody,
    response: HostDependency,
    status: 201,
    errors: ['already_exists'],
  }),
  getHostDependency: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/host-dependencies/:dependencyId',
    permission: 'fleet.read',
    audit: null,
    summary: 'One dependency',
    params: dependencyParams,
    response: HostDependency,
  }),
  updateHostDependency: defineRoute({
    method: 'PUT',
    path: '/api/v1/tenants/:tenantId/host-dependencies/:dependencyId',
    permission: 'fleet.manage',
    audit: 'host_dependency.updated',
    ifMatch: true,
    summary: 'Change a dependency',
    params: dependencyParams,
    body: HostDependencyBody,
    response: HostDependency,
    errors: ['already_exists'],
  }),
  removeHostDependency: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/host-dependencies/:dependencyId',
    permission: 'fleet.manage',
    audit: 'host_dependency.removed',
    ifMatch: true,
    summary: 'Remove a dependency',
    params: dependencyParams,
    response: NoContent,
    status: 204,
  }),
  getHostRelations: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/hosts/:hostId/relations',
    permission: 'fleet.read',
    audit: null,
    summary: 'Groups and dependencies of a host',
    params: Strict({ tenantId: Uuid, hostId: Uuid }),
    response: HostRelations,
  }),
};

export type GroupBody = Static<typeof GroupBody>;
export type Group = Static<typeof Group>;
export type HostDependencyBody = Static<typeof HostDependencyBody>;
export type HostDependency = Static<typeof HostDependency>;
export type HostRelations = Static<typeof HostRelations>;
