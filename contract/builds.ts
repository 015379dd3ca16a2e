import { Type, type Static } from 'typebox';
import { Envelope } from '#contract/dsse.ts';
import { defineRoute, Page, pageQuery } from '#contract/route.ts';
import {
  Base64Url,
  Count,
  Instant,
  Line,
  OneOf,
  OrNull,
  Prose,
  Sha256Hex,
  Strict,
  Uuid,
} from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

/** Largest agent build, compressed, in bytes: it travels in one frame and in one request. */
export const maxBuildBytes = 720_000;

/** Version of an agent: three numbers, nothing else, so that everybody orders them alike. */
export const AgentVersion = Type.String({ pattern: '^(0|[1-9]\\d{0,4})(\\.(0|[1-9]\\d{0,4})){2}$' });

/** The compressed program of an agent (gzip). */
export const BuildArtefact = Base64Url(Math.ceil((maxBuildBytes * 4) / 3));

/**
 * Which program agents of a tenant may become, signed by the root keys of its policy document, as many as change the
 * policy itself: who replaces the program that verifies could do without all other signatures.
 */
export const AgentBuildDocument = Strict({
  v: Type.Literal(1),
  tenant: Uuid,
  version: AgentVersion,
  platform: OneOf(['linux-x64']),
  /** Of the artefact as it travels, compressed: verified before anything unpacks it. */
  sha256: Sha256Hex,
  bytes: Type.Integer({ minimum: 1, maximum: maxBuildBytes }),
  issuedAt: Instant,
  /** No agent begins to become this version afterwards. */
  expiresAt: Instant,
});

/** What came of one request to become another version. `postponed`: the host was busy, ask again. */
export const buildOutcomes = ['refused', 'postponed', 'updated', 'reverted'] as const;

/** Why an agent did not become what it was asked to, or went back. */
export const buildCodes = [
  'ok',
  // refused: the request
  'malformed',
  'wrong_payload_type',
  'wrong_tenant',
  'threshold_not_met',
  'expired',
  'not_newer',
  'digest_mismatch',
  'tried_too_often',
  'locked',
  // refused: the host
  'not_launched',
  'does_not_start',
  'write_failed',
  // postponed
  'busy',
  // reverted
  'not_proven',
] as const;
export type BuildCode = (typeof buildCodes)[number];

/** Below zero when `a` is older than `b`. Both are versions as `AgentVersion` says. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (const [index, number] of left.entries()) {
    const difference = number - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export type AgentBuildDocument = Static<typeof AgentBuildDocument>;

/** A build that people may roll out: its document was signed by enough root keys when it was imported. */
export const AgentBuild = Strict({
  id: Uuid,
  version: AgentVersion,
  sha256: Sha256Hex,
  bytes: Count,
  documentSha256: Sha256Hex,
  issuedAt: Instant,
  expiresAt: Instant,
  importedBy: Uuid,
  importedAt: Instant,
});

/**
 * `running`: hosts are being asked. `halted`: a host went back or refused, nobody else is asked. `stopped`: a person ended
 * it. `done`: every host has become the version, or cannot be asked any more.
 */
export const rolloutStates = ['running', 'halted', 'stopped', 'done'] as const;

/** `waiting`: not asked yet, or busy when it was. `dropped`: the rollout ended before. */
export const askStates = ['waiting', 'asked', 'updated', 'reverted', 'refused', 'dropped'] as const;

export const BuildRollout = Strict({
  id: Uuid,
  buildId: Uuid,
  version: AgentVersion,
  state: OneOf(rolloutStates),
  /** Why it halted or was stopped; null while it runs and when it is done. */
  why: OrNull(Prose(500)),
  reason: Prose(500),
  /** Minutes for which the first hosts must have been well before the others are asked. */
  soakMinutes: Count,
  requestedBy: Uuid,
  startedAt: Instant,
  endedAt: OrNull(Instant),
  /** Hosts by what came of them. */
  counts: Strict({
    waiting: Count,
    asked: Count,
    updated: Count,
    reverted: Count,
    refused: Count,
    dropped: Count,
  }),
});

/** Where one host stands in a rollout. */
export const BuildAsk = Strict({
  id: Uuid,
  rolloutId: Uuid,
  hostId: Uuid,
  hostname: Line(253),
  version: AgentVersion,
  /** Version that the agent ran when the rollout began, and the one that it runs now; null when it never said. */
  fromVersion: OrNull(Line(40)),
  runningVersion: OrNull(Line(40)),
  /** 1: among the first hosts. 2: after them. */
  ring: Type.Integer({ minimum: 1, maximum: 2 }),
  state: OneOf(askStates),
  /** What the agent said last. */
  code: OrNull(OneOf(buildCodes)),
  detail: Prose(500),
  askedAt: OrNull(Instant),
  endedAt: OrNull(Instant),
});

export const RolloutRequest = Strict({
  buildId: Uuid,
  /** In the order in which they are asked; every connected host with an older agent when absent. */
  hostIds: Type.Optional(Type.Array(Uuid, { minItems: 1, maxItems: 10_000, uniqueItems: true })),
  firstHosts: Type.Integer({ minimum: 1, maximum: 100, default: 1 }),
  soakMinutes: Type.Integer({ minimum: 0, maximum: 10_080, default: 30 }),
  reason: Line(500),
});

const rolloutParams = Strict({ tenantId: Uuid, rolloutId: Uuid });

export const buildRoutes = {
  listAgentBuilds: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/agent-builds',
    permission: 'agents.read',
    audit: null,
    summary: 'Builds of the agent that the root keys have signed, newest first',
    params: tenantParams,
    query: Strict(pageQuery),
    response: Page(AgentBuild),
  }),
  importAgentBuild: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/agent-builds',
    permission: 'agents.update',
    audit: 'agent_build.imported',
    summary: 'Bring in a build and the document that enough root keys have signed; no host is asked yet',
    params: tenantParams,
    body: Strict({ envelope: Envelope, artefact: BuildArtefact }),
    response: AgentBuild,
    status: 201,
    errors: ['already_exists', 'signature_refused'],
  }),
  listBuildRollouts: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/build-rollouts',
    permission: 'agents.read',
    audit: null,
    summary: 'Rollouts of agent builds, newest first',
    params: tenantParams,
    query: Strict(pageQuery),
    response: Page(BuildRollout),
  }),
  startBuildRollout: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/build-rollouts',
    permission: 'agents.update',
    audit: 'build_rollout.started',
    summary: 'Ask a few hosts to become a build, and the others once those have been well',
    params: tenantParams,
    body: RolloutRequest,
    response: BuildRollout,
    status: 201,
    errors: ['transition_refused'],
  }),
  stopBuildRollout: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/build-rollouts/:rolloutId/stop',
    permission: 'agents.update',
    audit: 'build_rollout.stopped',
    summary: 'Ask nobody else; hosts that were asked go on',
    params: rolloutParams,
    body: Strict({ reason: Line(500) }),
    response: BuildRollout,
    errors: ['transition_refused'],
  }),
  listBuildAsks: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/build-asks',
    permission: 'agents.read',
    audit: null,
    summary: 'Where hosts stand in rollouts of agent builds, newest first',
    params: tenantParams,
    query: Strict({ ...pageQuery, rolloutId: Type.Optional(Uuid), hostId: Type.Optional(Uuid) }),
    response: Page(BuildAsk),
  }),
};

export type AgentBuild = Static<typeof AgentBuild>;
export type BuildRollout = Static<typeof BuildRollout>;
export type BuildAsk = Static<typeof BuildAsk>;
export type RolloutRequest = Static<typeof RolloutRequest>;
