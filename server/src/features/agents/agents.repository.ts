import { sql } from 'kysely';
import type { AgentSummary } from '#contract/fleet.ts';
import { toInstant } from '../../platform/clock.ts';
import type { AnyTx, SystemTx, TenantTx } from '../../platform/db.ts';
import { found } from '../../platform/errors.ts';
import type { IdPage } from '../../platform/page.ts';
import type { CertificateFacts } from './agents.policy.ts';
import type { AgentCertificate } from './authorities.ts';

/** A certificate as it was found by its fingerprint. */
export interface KnownCertificate {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
  /** SSH drives this host: its own agent is not let in beside. */
  readonly isVisited: boolean;
  readonly facts: CertificateFacts;
}

interface CertificateRow {
  readonly sha256: Buffer;
  readonly tenant_id: string;
  readonly agent_id: string;
  readonly host_id: string;
  readonly reach: string;
  readonly generation: number;
  readonly not_after: Date;
  readonly first_used_at: Date | null;
  readonly agent_generation: number;
  readonly revoked_at: Date | null;
  readonly clone_suspected_at: Date | null;
  readonly rival_used: boolean;
}

/** Looks certificates up by their fingerprints, in any tenant: nothing else says yet whose they are. Answers in the order asked. */
export async function findCertificates(
  tx: SystemTx,
  fingerprints: readonly Buffer[],
): Promise<(KnownCertificate | null)[]> {
  const { rows } = await sql<CertificateRow>`
    /* prepared agents.findCertificates */
    select c.sha256, c.tenant_id, c.agent_id, a.host_id, a.reach, c.generation, c.not_after, c.first_used_at,
      a.generation as agent_generation, a.revoked_at, a.clone_suspected_at,
      exists (
        select from agent_certificates r
        where r.tenant_id = c.tenant_id and r.agent_id = c.agent_id and r.generation = c.generation
          and r.sha256 <> c.sha256 and r.first_used_at is not null) as rival_used
    from agent_certificates c
    join agents a on a.tenant_id = c.tenant_id and a.id = c.agent_id
    where c.sha256 = any (${fingerprints}::bytea[])
  `.execute(tx);
  const known = new Map<string, KnownCertificate>();
  for (const row of rows) {
    known.set(row.sha256.toString('hex'), {
      tenantId: row.tenant_id,
      agentId: row.agent_id,
      hostId: row.host_id,
      isVisited: row.reach === 'ssh',
      facts: {
        generation: row.generation,
        notAfter: row.not_after,
        used: row.first_used_at !== null,
        rivalUsed: row.rival_used,
        agentGeneration: row.agent_generation,
        revoked: row.revoked_at !== null,
        cloneSuspected: row.clone_suspected_at !== null,
      },
    });
  }
  return fingerprints.map((sha256) => known.get(sha256.toString('hex')) ?? null);
}

export async function recordFirstUse(
  tx: TenantTx,
  use: { readonly sha256: Buffer; readonly agentId: string; readonly generation: number },
): Promise<void> {
  await tx
    .updateTable('agent_certificates')
    .set({ first_used_at: sql`now()` })
    .where('sha256', '=', use.sha256)
    .where('first_used_at', 'is', null)
    .execute();
  await tx
    .updateTable('agents')
    .set({ generation: use.generation })
    .where('id', '=', use.agentId)
    .where('generation', '<', use.generation)
    .execute();
}

export async function insertCertificate(
  tx: TenantTx,
  agent: { readonly agentId: string; readonly generation: number },
  certificate: AgentCertificate,
): Promise<void> {
  await tx
    .insertInto('agent_certificates')
    .values({
      sha256: certificate.sha256,
      agent_id: agent.agentId,
      generation: agent.generation,
      serial: certificate.serial,
      not_after: certificate.notAfter,
    })
    .execute();
}

export async function insertAgent(
  tx: TenantTx,
  agent: { id: string; hostId: string; resultPublicKey: Buffer; version: string; reach?: 'agent' | 'ssh' },
): Promise<void> {
  await tx
    .insertInto('agents')
    .values({
      id: agent.id,
      host_id: agent.hostId,
      result_public_key: agent.resultPublicKey,
      version: agent.version,
      reach: agent.reach ?? 'agent',
    })
    .execute();
}

export interface Connected {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
  readonly bootId: string;
  readonly bootedAt: string;
  readonly version: string;
  readonly policyEpoch: number;
  readonly lockSerial: number;
}

/**
 * Notes new connections. Returns the instant of each as the database writes it, by agent; those are missing that were
 * revoked or suspected since they were recognised.
 */
export async function recordConnected(
  tx: SystemTx,
  connected: readonly Connected[],
): Promise<Map<string, string>> {
  // In one order, so that two nodes that write the same agents wait for one another and do not lock each other.
  const sorted = [...connected].sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
  const { rows } = await sql<{ id: string; connectedAt: string }>`
    /* prepared agents.recordConnected */
    update agents a
    set connected_at = now(), last_seen_at = now(), boot_id = c.boot_id, booted_at = c.booted_at, version = c.version,
        policy_epoch = c.policy_epoch, lock_serial = c.lock_serial
    from unnest(
      ${sorted.map(({ tenantId }) => tenantId)}::uuid[],
      ${sorted.map(({ agentId }) => agentId)}::uuid[],
      ${sorted.map(({ bootId }) => bootId)}::text[],
      ${sorted.map(({ bootedAt }) => bootedAt)}::timestamptz[],
      ${sorted.map(({ version }) => version)}::text[],
      ${sorted.map(({ policyEpoch }) => policyEpoch)}::int[],
      ${sorted.map(({ lockSerial }) => lockSerial)}::int[]
    ) as c (tenant_id, id, boot_id, booted_at, version, policy_epoch, lock_serial)
    where a.tenant_id = c.tenant_id and a.id = c.id and a.revoked_at is null and a.clone_suspected_at is null
    returning a.id, a.connected_at::text as "connectedAt"
  `.execute(tx);
  return new Map(rows.map(({ id, connectedAt }) => [id, connectedAt]));
}

/** SubjectPublicKeyInfo of the keys with which live agents sign, in the order asked; null where there is no such agent. */
export async function resultKeysOf(
  tx: SystemTx,
  agents: readonly { readonly tenantId: string; readonly agentId: string }[],
): Promise<(Buffer | null)[]> {
  const { rows } = await sql<{ tenant_id: string; id: string; result_public_key: Buffer }>`
    /* prepared agents.resultKeysOf */
    select a.tenant_id, a.id, a.result_public_key
    from unnest(
      ${agents.map(({ tenantId }) => tenantId)}::uuid[],
      ${agents.map(({ agentId }) => agentId)}::uuid[]
    ) as q (tenant_id, id)
    join agents a on a.tenant_id = q.tenant_id and a.id = q.id
    where a.revoked_at is null
  `.execute(tx);
  const keys = new Map(rows.map((row) => [`${row.tenant_id} ${row.id}`, row.result_public_key]));
  return agents.map(({ tenantId, agentId }) => keys.get(`${tenantId} ${agentId}`) ?? null);
}

/** The end of one connection, of which the database wrote that it began at that instant. */
export interface Ended {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
  readonly connectedAt: string;
}

/** Notes ends of connections. Returns the agents that are gone: those are missing that have opened another one since, perhaps on another node. */
export async function recordDisconnected(tx: SystemTx, ended: readonly Ended[]): Promise<Set<string>> {
  const sorted = [...ended].sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
  const { rows } = await sql<{ id: string }>`
    /* prepared agents.recordDisconnected */
    update agents a
    set connected_at = null
    from unnest(
      ${sorted.map(({ tenantId }) => tenantId)}::uuid[],
      ${sorted.map(({ agentId }) => agentId)}::uuid[],
      ${sorted.map(({ connectedAt }) => connectedAt)}::timestamptz[]
    ) as e (tenant_id, id, connected_at)
    where a.tenant_id = e.tenant_id and a.id = e.id and a.connected_at = e.connected_at
    returning a.id
  `.execute(tx);
  return new Set(rows.map(({ id }) => id));
}

/** What the latest heartbeat of an agent said. */
export interface Liveness {
  readonly agentId: string;
  readonly atMs: number;
  readonly guardArmedUntil: string | null;
  readonly witnessedTreeSize: number | null;
  readonly policyEpoch: number | null;
}

/** Writes many heartbeats at once. Returns the agents among them that must not be connected any more. */
export async function recordLiveness(tx: SystemTx, heard: readonly Liveness[]): Promise<string[]> {
  const { rows } = await sql<{ id: string; barred: boolean }>`
    update agents a
    set last_seen_at = greatest(a.last_seen_at, h.at),
        guard_armed_until = h.guard_armed_until,
        witnessed_tree_size = greatest(a.witnessed_tree_size, coalesce(h.tree_size, 0)),
        policy_epoch = coalesce(h.policy_epoch, a.policy_epoch)
    from unnest(
      ${heard.map(({ agentId }) => agentId)}::uuid[],
      ${heard.map(({ atMs }) => toInstant(atMs))}::timestamptz[],
      ${heard.map(({ guardArmedUntil }) => guardArmedUntil)}::timestamptz[],
      ${heard.map(({ witnessedTreeSize }) => witnessedTreeSize)}::bigint[],
      ${heard.map(({ policyEpoch }) => policyEpoch)}::int[]
    ) as h (id, at, guard_armed_until, tree_size, policy_epoch)
    where a.id = h.id
    returning a.id, (a.revoked_at is not null or a.clone_suspected_at is not null) as barred
  `.execute(tx);
  return rows.filter(({ barred }) => barred).map(({ id }) => id);
}

/** Revokes an agent that is not yet; its host, or null when it was revoked before or is unknown. */
export async function revokeAgent(tx: TenantTx, agentId: string, reason: string): Promise<string | null> {
  const row = await tx
    .updateTable('agents')
    .set({ revoked_at: sql`now()`, revoked_reason: reason, connected_at: null })
    .where('id', '=', agentId)
    .where('revoked_at', 'is', null)
    .returning('host_id')
    .executeTakeFirst();
  return row?.host_id ?? null;
}

/** Revokes whatever agent a host had before. */
export async function revokeOfHost(tx: TenantTx, hostId: string, reason: string): Promise<string[]> {
  const rows = await tx
    .updateTable('agents')
    .set({ revoked_at: sql`now()`, revoked_reason: reason, connected_at: null })
    .where('host_id', '=', hostId)
    .where('revoked_at', 'is', null)
    .returning('id')
    .execute();
  return rows.map(({ id }) => id);
}

/** Marks an agent as copied; false when it was marked before. */
export async function recordClone(tx: TenantTx, agentId: string, evidence: object): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('agents')
    .set({
      clone_suspected_at: sql`now()`,
      clone_evidence: JSON.stringify(evidence),
      connected_at: null,
    })
    .where('id', '=', agentId)
    .where('clone_suspected_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

const summaryColumns = [
  'id',
  'host_id',
  'hostname',
  'state',
  'version',
  'certificate_serial',
  'certificate_not_after',
  'generation',
  'last_seen_at',
  'policy_epoch',
  'witnessed_tree_size',
  'enrolled_at',
  'revoked_at',
  'reach',
] as const;

function overview(tx: AnyTx) {
  return tx.selectFrom('agent_overview').select(summaryColumns).$narrowType<{
    id: string;
    host_id: string;
    hostname: string;
    state: AgentSummary['state'];
    reach: AgentSummary['reach'];
    generation: number;
    policy_epoch: number;
    witnessed_tree_size: number;
    enrolled_at: Date;
  }>();
}

type OverviewRow = Awaited<ReturnType<ReturnType<typeof overview>['executeTakeFirstOrThrow']>>;

function summary(row: OverviewRow): AgentSummary {
  const instant = (at: Date | null): string | null => (at === null ? null : toInstant(at));
  return {
    id: row.id,
    hostId: row.host_id,
    hostname: row.hostname,
    state: row.state,
    reach: row.reach,
    version: row.version,
    certificateSerial: row.certificate_serial,
    certificateNotAfter: instant(row.certificate_not_after),
    generation: row.generation,
    lastSeenAt: instant(row.last_seen_at),
    policyEpoch: row.policy_epoch,
    witnessedTreeSize: row.witnessed_tree_size,
    enrolledAt: toInstant(row.enrolled_at),
    revokedAt: instant(row.revoked_at),
  };
}

export async function getAgent(tx: TenantTx, agentId: string): Promise<AgentSummary> {
  return summary(found(await overview(tx).where('id', '=', agentId).executeTakeFirst()));
}

/** Newest first; `before` is the last identifier of the page before. */
export async function listAgents(tx: TenantTx, page: IdPage): Promise<AgentSummary[]> {
  const rows = await overview(tx)
    .$if(page.before !== null, (query) => query.where('id', '<', page.before))
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(summary);
}

export async function countAgents(tx: TenantTx): Promise<number> {
  const row = await tx
    .selectFrom('agents')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** The live agent of a host, or null. */
export async function liveAgentOf(tx: TenantTx, hostId: string): Promise<string | null> {
  const row = await tx
    .selectFrom('agents')
    .select('id')
    .where('host_id', '=', hostId)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  return row?.id ?? null;
}

export async function setReach(tx: TenantTx, agentId: string, reach: 'agent' | 'ssh'): Promise<void> {
  await tx.updateTable('agents').set({ reach }).where('id', '=', agentId).execute();
}

/** The number of the certificate that an agent uses. */
export async function generationOf(tx: TenantTx, agentId: string): Promise<number | null> {
  const row = await tx
    .selectFrom('agents')
    .select('generation')
    .where('id', '=', agentId)
    .where('revoked_at', 'is', null)
    .where('clone_suspected_at', 'is', null)
    .executeTakeFirst();
  return row?.generation ?? null;
}
