import { Type, type Static } from 'typebox';
import { defineRoute, NoContent, Page, pageQuery } from '#contract/route.ts';
import { Inventory, PendingUpdate } from '#contract/inventory.ts';
import { Count, HostName, Instant, Line, OneOf, OrNull, Strict, Uuid } from '#contract/schema.ts';
import { reaches } from '#contract/reach.ts';
import { HealthCheck } from '#contract/verbs.ts';
import { tenantParams } from '#contract/tenants.ts';

const Tag = Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,39}$' });

/** Is an agent there? `silent`: it had a certificate and missed three heartbeats. */
export const agentStates = ['connected', 'silent', 'never_connected', 'revoked', 'clone_suspected'] as const;

/**
 * One word for people, computed from separate facts, never stored.
 * An offline host is `unknown`, never compliant.
 */
export const hostStatuses = [
  'up_to_date',
  'updates_pending',
  'security_pending',
  'restart_required',
  'in_run',
  'attention',
  'unknown',
] as const;

export const AgentSummary = Strict({
  id: Uuid,
  hostId: Uuid,
  hostname: Line(253),
  state: OneOf(agentStates),
  /** `ssh`: no agent holds a connection; the server visits the host. */
  reach: OneOf(reaches),
  version: OrNull(Line(40)),
  certificateSerial: OrNull(Line(64)),
  certificateNotAfter: OrNull(Instant),
  generation: Count,
  lastSeenAt: OrNull(Instant),
  policyEpoch: Count,
  witnessedTreeSize: Count,
  enrolledAt: Instant,
  revokedAt: OrNull(Instant),
});

export const HostSummary = Strict({
  id: Uuid,
  hostname: HostName,
  siteId: Uuid,
  siteName: Line(120),
  tags: Type.Array(Tag),
  status: OneOf(hostStatuses),
  agentState: OneOf(agentStates),
  reach: OneOf(reaches),
  osName: OrNull(Line(200)),
  pendingUpdates: OrNull(Count),
  pendingSecurity: OrNull(Count),
  restartRequired: OrNull(Type.Boolean()),
  guardTier: OrNull(OneOf(['btrfs', 'none'])),
  lastInventoryAt: OrNull(Instant),
  lastSeenAt: OrNull(Instant),
  activeRunId: OrNull(Uuid),
  version: Type.Integer(),
});

export const HostDetail = Strict({
  host: HostSummary,
  agent: OrNull(AgentSummary),
  /** Checks that tell whether the host does its work; used by plans unless the policy says otherwise. */
  healthChecks: Type.Array(HealthCheck),
  inventory: OrNull(Inventory),
});

export const HostUpdateBody = Strict({
  siteId: Type.Optional(Uuid),
  tags: Type.Optional(Type.Array(Tag, { maxItems: 20, uniqueItems: true })),
  healthChecks: Type.Optional(Type.Array(HealthCheck, { maxItems: 32 })),
  /** ATLAS itself runs on this host, or on a guest of it: plans take it last and alone. */
  carriesAtlas: Type.Optional(Type.Boolean()),
});

export const EnrolmentToken = Strict({
  id: Uuid,
  siteId: Uuid,
  siteName: Line(120),
  note: OrNull(Line(200)),
  createdBy: Uuid,
  createdAt: Instant,
  expiresAt: Instant,
  usedAt: OrNull(Instant),
  usedByHostId: OrNull(Uuid),
  revokedAt: OrNull(Instant),
});

export const EnrolmentTokenCreate = Strict({
  siteId: Uuid,
  note: Type.Optional(Line(200)),
  expiresInMinutes: Type.Integer({ minimum: 5, maximum: 10_080, default: 60 }),
});

/** `line` is the whole command for the host; the secret in it is shown once. */
export const EnrolmentTokenCreated = Strict({
  enrolmentToken: EnrolmentToken,
  token: Type.String(),
  line: Type.String(),
});

const hostParams = Strict({ tenantId: Uuid, hostId: Uuid });
const agentParams = Strict({ tenantId: Uuid, agentId: Uuid });

export const hostSorts = [
  'hostname',
  '-hostname',
  'pendingSecurity',
  '-pendingSecurity',
  'lastSeenAt',
  '-lastSeenAt',
] as const;

export const HostQuery = Strict({
  ...pageQuery,
  q: Type.Optional(Line(100)),
  status: Type.Optional(OneOf(hostStatuses)),
  site: Type.Optional(Uuid),
  tag: Type.Optional(Tag),
  agentState: Type.Optional(OneOf(agentStates)),
  sort: Type.Optional(OneOf(hostSorts)),
});

/** Numbers for the first screen, counted by the database. */
export const FleetSummary = Strict({
  total: Count,
  byStatus: Type.Record(OneOf(hostStatuses), Count),
  agentsConnected: Count,
  pendingSecurity: Count,
  releasesToSign: Count,
  activeRuns: Count,
  failedHostRuns24h: Count,
});

export const fleetRoutes = {
  getFleetSummary: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/fleet-summary',
    permission: 'fleet.read',
    audit: null,
    summary: 'Counts for the first screen',
    params: tenantParams,
    response: FleetSummary,
  }),
  listHosts: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/hosts',
    permission: 'fleet.read',
    audit: null,
    summary: 'Hosts',
    params: tenantParams,
    query: HostQuery,
    response: Page(HostSummary),
  }),
  getHost: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/hosts/:hostId',
    permission: 'fleet.read',
    audit: null,
    summary: 'One host with facts and updates',
    params: hostParams,
    response: HostDetail,
  }),
  updateHost: defineRoute({
    method: 'PATCH',
    path: '/api/v1/tenants/:tenantId/hosts/:hostId',
    permission: 'fleet.manage',
    audit: 'host.updated',
    ifMatch: true,
    summary: 'Site, tags and health checks of a host',
    params: hostParams,
    body: HostUpdateBody,
    response: HostSummary,
  }),
  listHostUpdates: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/hosts/:hostId/updates',
    permission: 'fleet.read',
    audit: null,
    summary: 'Pending updates of a host',
    params: hostParams,
    query: Strict({ ...pageQuery }),
    response: Page(PendingUpdate),
  }),
  scanHost: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/hosts/:hostId/scan',
    permission: 'fleet.manage',
    audit: 'host.scan_requested',
    summary: 'Ask the agent to read its inventory again',
    params: hostParams,
    response: Strict({ commandId: Uuid }),
    status: 202,
    errors: ['hosts_unavailable'],
  }),
  listAgents: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/agents',
    permission: 'agents.read',
    audit: null,
    summary: 'Agents and their certificates',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(AgentSummary),
  }),
  revokeAgent: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/agents/:agentId/revoke',
    permission: 'agents.revoke',
    audit: 'agent.revoked',
    summary: 'Refuse this agent from now on',
    params: agentParams,
    body: Strict({ reason: Line(500) }),
    response: AgentSummary,
    errors: ['transition_refused'],
  }),
  listEnrolmentTokens: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/enrolment-tokens',
    permission: 'agents.read',
    audit: null,
    summary: 'Enrolment tokens',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(EnrolmentToken),
  }),
  createEnrolmentToken: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/enrolment-tokens',
    permission: 'agents.enrol',
    audit: 'enrolment_token.created',
    summary: 'Issue a one-time enrolment token',
    params: tenantParams,
    body: EnrolmentTokenCreate,
    response: EnrolmentTokenCreated,
    status: 201,
    errors: ['policy_refused'],
  }),
  revokeEnrolmentToken: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/enrolment-tokens/:enrolmentTokenId',
    permission: 'agents.enrol',
    audit: 'enrolment_token.revoked',
    summary: 'Make a token unusable',
    params: Strict({ tenantId: Uuid, enrolmentTokenId: Uuid }),
    response: NoContent,
    status: 204,
  }),
};

export type HostSummary = Static<typeof HostSummary>;
export type HostDetail = Static<typeof HostDetail>;
export type AgentSummary = Static<typeof AgentSummary>;
export type FleetSummary = Static<typeof FleetSummary>;
export type EnrolmentToken = Static<typeof EnrolmentToken>;
