import { sql } from 'kysely';
import type { AgentBuild, BuildAsk, BuildCode, BuildRollout } from '#contract/builds.ts';
import type { Envelope } from '#contract/dsse.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';
import { found } from '../../platform/errors.ts';
import type { IdPage } from '../../platform/page.ts';
import type { SignedBuild } from './builds.document.ts';
import type { AskFacts, RolloutFacts } from './builds.policy.ts';

const orNull = (at: Date | null): string | null => (at === null ? null : toInstant(at));

const buildColumns = [
  ...(['id', 'build_version', 'sha256', 'document_sha256', 'issued_at', 'expires_at'] as const),
  ...(['imported_by', 'imported_at'] as const),
] as const;

const selectBuilds = (tx: TenantTx) =>
  tx
    .selectFrom('agent_builds')
    .select(buildColumns)
    .select(({ fn }) => fn<number>('length', ['artefact']).as('bytes'));

function buildOf(
  row: Awaited<ReturnType<ReturnType<typeof selectBuilds>['executeTakeFirstOrThrow']>>,
): AgentBuild {
  return {
    ...{ id: row.id, version: row.build_version, sha256: row.sha256, documentSha256: row.document_sha256 },
    ...{ bytes: row.bytes, issuedAt: toInstant(row.issued_at), expiresAt: toInstant(row.expires_at) },
    ...{ importedBy: row.imported_by, importedAt: toInstant(row.imported_at) },
  };
}

/** Null when the same document is here already. */
export async function insertBuild(
  tx: TenantTx,
  build: SignedBuild,
  by: { readonly id: string; readonly envelope: Envelope; readonly personId: string },
): Promise<AgentBuild | null> {
  const { document, documentSha256, artefact } = build;
  const done = await tx
    .insertInto('agent_builds')
    .values({
      ...{ id: by.id, build_version: document.version, sha256: document.sha256, artefact },
      ...{ document_sha256: documentSha256, envelope: JSON.stringify(by.envelope) },
      ...{ issued_at: document.issuedAt, expires_at: document.expiresAt, imported_by: by.personId },
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return done.numInsertedOrUpdatedRows === 1n ? getBuild(tx, by.id) : null;
}

export async function getBuild(tx: TenantTx, buildId: string): Promise<AgentBuild> {
  return buildOf(found(await selectBuilds(tx).where('id', '=', buildId).executeTakeFirst()));
}

export async function listBuilds(tx: TenantTx, page: IdPage): Promise<AgentBuild[]> {
  const rows = await selectBuilds(tx)
    .$if(page.before !== null, (query) => query.where('id', '<', page.before))
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(buildOf);
}

/** An agent that may be asked: the live one of its host, reached over its own connection. */
export interface Candidate {
  readonly hostId: string;
  readonly version: string | null;
  readonly isConnected: boolean;
}

/** Candidates by name, those that are connected first. */
export async function listCandidates(tx: TenantTx): Promise<Candidate[]> {
  const rows = await tx
    .selectFrom('agent_overview')
    .select(['host_id', 'version', 'state'])
    .where('reach', '=', 'agent')
    .where('state', 'not in', ['revoked', 'clone_suspected'])
    .orderBy('hostname')
    .orderBy('host_id')
    .execute();
  const all = rows.map(({ host_id, version, state }) => ({
    ...{ hostId: found(host_id), version, isConnected: state === 'connected' },
  }));
  return [...all.filter(({ isConnected }) => isConnected), ...all.filter(({ isConnected }) => !isConnected)];
}

/** False when another rollout of this tenant is running. */
export async function insertRollout(
  tx: TenantTx,
  rollout: {
    readonly id: string;
    readonly buildId: string;
    readonly reason: string;
    readonly soakMinutes: number;
    readonly requestedBy: string;
    readonly startedAt: Date;
  },
  asks: readonly {
    readonly id: string;
    readonly hostId: string;
    readonly fromVersion: string | null;
    readonly ring: 1 | 2;
  }[],
): Promise<boolean> {
  const done = await tx
    .insertInto('build_rollouts')
    .values({
      ...{
        id: rollout.id,
        build_id: rollout.buildId,
        reason: rollout.reason,
        soak_minutes: rollout.soakMinutes,
      },
      ...{ requested_by: rollout.requestedBy, started_at: rollout.startedAt },
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (done.numInsertedOrUpdatedRows !== 1n) return false;
  await sql`
    insert into build_asks (id, rollout_id, host_id, position, ring, from_version)
    select a.id, ${rollout.id}::uuid, a.host_id, a.position, a.ring, a.from_version
    from unnest(
      ${asks.map(({ id }) => id)}::uuid[],
      ${asks.map(({ hostId }) => hostId)}::uuid[],
      ${asks.map(({ ring }) => ring)}::smallint[],
      ${asks.map(({ fromVersion }) => fromVersion)}::text[]
    ) with ordinality as a (id, host_id, ring, from_version, position)
  `.execute(tx);
  return true;
}

const selectRollouts = (tx: TenantTx) =>
  tx
    .selectFrom('build_rollouts as r')
    .innerJoin('agent_builds as b', (join) =>
      join.onRef('b.tenant_id', '=', 'r.tenant_id').onRef('b.id', '=', 'r.build_id'),
    )
    .select(['r.id', 'r.build_id', 'b.build_version', 'r.state', 'r.why', 'r.reason', 'r.soak_minutes'])
    .select(['r.requested_by', 'r.started_at', 'r.ended_at', 'b.expires_at'])
    .select(
      sql<Record<string, number>>`(
        select coalesce(jsonb_object_agg(c.state, c.count), '{}'::jsonb) from (
          select a.state, count(*) from build_asks a
          where a.tenant_id = r.tenant_id and a.rollout_id = r.id group by a.state) c)`.as('counts'),
    );

type RolloutRow = Awaited<ReturnType<ReturnType<typeof selectRollouts>['executeTakeFirstOrThrow']>>;

function rolloutOf(row: RolloutRow): BuildRollout {
  const { counts } = row;
  const count = (state: BuildAsk['state']) => counts[state] ?? 0;
  return {
    ...{ id: row.id, buildId: row.build_id, version: row.build_version },
    ...{ state: row.state as BuildRollout['state'], why: row.why, reason: row.reason },
    ...{ soakMinutes: row.soak_minutes, requestedBy: row.requested_by },
    ...{ startedAt: toInstant(row.started_at), endedAt: orNull(row.ended_at) },
    counts: {
      ...{ waiting: count('waiting'), asked: count('asked'), updated: count('updated') },
      ...{ reverted: count('reverted'), refused: count('refused'), dropped: count('dropped') },
    },
  };
}

export async function getRollout(tx: TenantTx, rolloutId: string): Promise<BuildRollout> {
  return rolloutOf(found(await selectRollouts(tx).where('r.id', '=', rolloutId).executeTakeFirst()));
}

export async function listRollouts(tx: TenantTx, page: IdPage): Promise<BuildRollout[]> {
  const rows = await selectRollouts(tx)
    .$if(page.before !== null, (query) => query.where('r.id', '<', page.before))
    .orderBy('r.id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(rolloutOf);
}

export async function listRunning(tx: SystemTx): Promise<{ tenantId: string; rolloutId: string }[]> {
  return tx
    .selectFrom('build_rollouts')
    .select(['tenant_id as tenantId', 'id as rolloutId'])
    .where('state', '=', 'running')
    .execute();
}

/** Ends a rollout that runs, and drops what was not asked yet. False when it had ended before. */
export async function endRollout(
  tx: TenantTx,
  rolloutId: string,
  end: { readonly state: 'halted' | 'stopped' | 'done'; readonly why: string | null; readonly at: Date },
): Promise<boolean> {
  const done = await tx
    .updateTable('build_rollouts')
    .set({ state: end.state, why: end.why, ended_at: end.at })
    .where('id', '=', rolloutId)
    .where('state', '=', 'running')
    .executeTakeFirst();
  if (done.numUpdatedRows === 0n) return false;
  await tx
    .updateTable('build_asks')
    .set({ state: 'dropped', ended_at: end.at })
    .where('rollout_id', '=', rolloutId)
    .where('state', '=', 'waiting')
    .execute();
  return true;
}

/** The facts of a rollout that runs, its row locked until the end of the transaction; null when it runs no more. */
export async function lockRollout(
  tx: TenantTx,
  rolloutId: string,
): Promise<{ readonly rollout: RolloutFacts; readonly asks: AskFacts[] } | null> {
  const row = await tx
    .selectFrom('build_rollouts as r')
    .innerJoin('agent_builds as b', (join) =>
      join.onRef('b.tenant_id', '=', 'r.tenant_id').onRef('b.id', '=', 'r.build_id'),
    )
    .select(['b.build_version', 'b.expires_at', 'r.soak_minutes'])
    .where('r.id', '=', rolloutId)
    .where('r.state', '=', 'running')
    .forUpdate('r')
    .executeTakeFirst();
  if (row === undefined) return null;
  const rollout = {
    version: row.build_version,
    soakMs: row.soak_minutes * 60_000,
    expiresAtMs: row.expires_at.getTime(),
  };
  const { rows } = await sql<AskFacts>`
    select a.id, h.hostname, a.ring, a.state, a.code, a.detail,
      extract(epoch from a.asked_at)::float8 * 1000 as "askedAtMs",
      extract(epoch from a.ended_at)::float8 * 1000 as "endedAtMs",
      coalesce(v.state = 'connected' and v.reach = 'agent', false) as "isConnected", v.version as "runningVersion",
      exists (select from host_claims c where c.host_id = a.host_id) as "isClaimed"
    from build_asks a
    join hosts h on h.tenant_id = a.tenant_id and h.id = a.host_id
    left join agent_overview v on v.tenant_id = a.tenant_id and v.host_id = a.host_id and v.revoked_at is null
    where a.rollout_id = ${rolloutId}
    order by a.position
  `.execute(tx);
  return { rollout, asks: rows };
}

export async function markAsked(tx: TenantTx, askIds: readonly string[], at: Date): Promise<void> {
  await tx
    .updateTable('build_asks')
    .set({ state: 'asked', asked_at: at })
    .where('id', 'in', [...askIds])
    .execute();
}

/** What is delivered to an agent. */
export interface Delivery {
  readonly askId: string;
  readonly agentId: string;
}

/** The live agents of hosts that are being asked. */
export async function listDeliveries(tx: TenantTx, askIds: readonly string[]): Promise<Delivery[]> {
  return tx
    .selectFrom('build_asks as a')
    .innerJoin('agents as g', (join) =>
      join.onRef('g.tenant_id', '=', 'a.tenant_id').onRef('g.host_id', '=', 'a.host_id'),
    )
    .select(['a.id as askId', 'g.id as agentId'])
    .where('a.id', 'in', [...askIds])
    .where('a.state', '=', 'asked')
    .where('g.revoked_at', 'is', null)
    .where('g.reach', '=', 'agent')
    .execute();
}

/** The signed document and the bytes of the build that a host is asked to become. */
export async function readBuildOf(
  tx: TenantTx,
  askId: string,
): Promise<{ readonly envelope: Envelope; readonly artefact: Buffer } | null> {
  const row = await tx
    .selectFrom('build_asks as a')
    .innerJoin('build_rollouts as r', (join) =>
      join.onRef('r.tenant_id', '=', 'a.tenant_id').onRef('r.id', '=', 'a.rollout_id'),
    )
    .innerJoin('agent_builds as b', (join) =>
      join.onRef('b.tenant_id', '=', 'r.tenant_id').onRef('b.id', '=', 'r.build_id'),
    )
    .select(['b.envelope', 'b.artefact'])
    .where('a.id', '=', askId)
    .executeTakeFirst();
  return row === undefined ? null : { envelope: row.envelope as unknown as Envelope, artefact: row.artefact };
}

/** Writes what an agent says about a request of its own host. Null when it changes nothing: unknown, or said before. */
export async function recordOutcome(
  tx: TenantTx,
  said: {
    readonly askId: string;
    readonly hostId: string;
    readonly state: 'waiting' | 'updated' | 'reverted' | 'refused';
    readonly code: BuildCode;
    readonly detail: string;
    readonly at: Date;
  },
): Promise<{ readonly rolloutId: string } | null> {
  const isEnd = said.state !== 'waiting';
  // Late truth counts, also after the rollout; what was said for good stays.
  const row = await tx
    .updateTable('build_asks')
    .set({ state: said.state, code: said.code, detail: said.detail, ...(isEnd ? { ended_at: said.at } : {}) })
    .where('id', '=', said.askId)
    .where('host_id', '=', said.hostId)
    .where('state', 'in', isEnd ? ['waiting', 'asked', 'dropped'] : ['asked'])
    .returning('rollout_id as rolloutId')
    .executeTakeFirst();
  return row ?? null;
}

export async function listAsks(
  tx: TenantTx,
  page: IdPage,
  wish: { readonly rolloutId?: string | undefined; readonly hostId?: string | undefined },
): Promise<BuildAsk[]> {
  const rows = await tx
    .selectFrom('build_asks as a')
    .innerJoin('build_rollouts as r', (join) =>
      join.onRef('r.tenant_id', '=', 'a.tenant_id').onRef('r.id', '=', 'a.rollout_id'),
    )
    .innerJoin('agent_builds as b', (join) =>
      join.onRef('b.tenant_id', '=', 'r.tenant_id').onRef('b.id', '=', 'r.build_id'),
    )
    .innerJoin('hosts as h', (join) =>
      join.onRef('h.tenant_id', '=', 'a.tenant_id').onRef('h.id', '=', 'a.host_id'),
    )
    .leftJoin('agents as g', (join) =>
      join
        .onRef('g.tenant_id', '=', 'a.tenant_id')
        .onRef('g.host_id', '=', 'a.host_id')
        .on('g.revoked_at', 'is', null),
    )
    .select([
      'a.id',
      'a.rollout_id',
      'a.host_id',
      'h.hostname',
      'b.build_version',
      'a.from_version',
      'g.version',
    ])
    .select(['a.ring', 'a.state', 'a.code', 'a.detail', 'a.asked_at', 'a.ended_at'])
    .$if(page.before !== null, (query) => query.where('a.id', '<', page.before))
    .$if(wish.rolloutId !== undefined, (query) => query.where('a.rollout_id', '=', wish.rolloutId ?? ''))
    .$if(wish.hostId !== undefined, (query) => query.where('a.host_id', '=', wish.hostId ?? ''))
    .orderBy('a.id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map((row) => ({
    ...{ id: row.id, rolloutId: row.rollout_id, hostId: row.host_id, hostname: row.hostname },
    ...{ version: row.build_version, fromVersion: row.from_version, runningVersion: row.version },
    ...{ ring: row.ring, state: row.state as BuildAsk['state'], code: row.code as BuildCode | null },
    ...{ detail: row.detail, askedAt: orNull(row.asked_at), endedAt: orNull(row.ended_at) },
  }));
}
