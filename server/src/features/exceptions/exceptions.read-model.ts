import { sql, type RawBuilder } from 'kysely';
import type { exceptionSorts, ExceptionState, PatchException } from '#contract/exceptions.ts';
import { expiringSoonDays } from '#contract/exceptions.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { decodeCursor, limitOf, pageOf, type PageQuery } from '../../platform/page.ts';
import { expiresSoon, stateOf } from './exceptions.policy.ts';

type ExceptionSort = (typeof exceptionSorts)[number];

const dayMs = 86_400_000;
const mostAlerts = 100;

interface DecisionRow {
  readonly decision: 'approved' | 'refused' | 'revoked';
  readonly reason: string;
  readonly by: string;
  readonly byName: string | null;
  readonly at: string;
}

/** In order; instants as milliseconds, so that none is rounded by the database's own notation. */
const decisions = sql<(Omit<DecisionRow, 'at'> & { readonly atMs: number })[]>`(
  select coalesce(jsonb_agg(jsonb_build_object(
    'decision', d.decision, 'reason', d.reason, 'by', d.decided_by, 'byName', p.name,
    'atMs', floor(extract(epoch from d.decided_at) * 1000)) order by d.seq), '[]')
  from exception_decisions d left join people p on p.id = d.decided_by where d.exception_id = e.id)`;

const ownerLost = sql<boolean>`(o.id is null or o.disabled_at is not null or cardinality(m.roles) = 0)`;

function selectExceptions(tx: TenantTx) {
  return tx
    .selectFrom('exceptions as e')
    .innerJoin('exception_verdicts as v', 'v.exception_id', 'e.id')
    .leftJoin('memberships as m', 'm.person_id', 'e.owner_id')
    .leftJoin('people as o', 'o.id', 'm.person_id')
    .leftJoin('people as r', 'r.id', 'e.requested_by')
    .leftJoin('hosts as h', 'h.id', 'e.place_id')
    .leftJoin('groups as g', 'g.id', 'e.place_id')
    .leftJoin('sites as s', 's.id', 'e.place_id')
    .select([
      ...(['e.id as id', 'e.reason as reason', 'e.compensation as compensation'] as const),
      ...(['e.update_name as name', 'e.update_version as version', 'e.place_id as placeId'] as const),
      ...(['e.owner_id as ownerId', 'o.name as ownerName', 'e.expires_at as expiresAt'] as const),
      ...(['e.requested_by as requestedBy', 'r.name as requestedByName'] as const),
      'e.requested_at as requestedAt',
      'v.was_approved as wasApproved',
    ])
    .select([
      sql<PatchException['place']['kind']>`e.place_kind`.as('placeKind'),
      sql<string | null>`coalesce(h.hostname, g.name, s.name, e.place_name)`.as('placeName'),
      sql<boolean>`coalesce(h.id, g.id, s.id) is null and e.place_id is not null`.as('gone'),
      sql<DecisionRow['decision'] | null>`v.decision`.as('decision'),
      ownerLost.as('ownerLost'),
      decisions.as('decisions'),
    ]);
}

type Row = Awaited<ReturnType<ReturnType<typeof selectExceptions>['executeTakeFirstOrThrow']>>;

/** Rows whose state is this one at an instant: the same rule as the policy's, for the database. */
function inState(state: ExceptionState, at: Date): RawBuilder<boolean> {
  if (state === 'refused' || state === 'revoked') return sql`v.decision = ${state}`;
  if (state === 'expired')
    return sql`e.expires_at <= ${at} and (v.decision is null or v.decision = 'approved')`;
  const decided = state === 'approved' ? sql`v.decision = 'approved'` : sql`v.decision is null`;
  return sql`e.expires_at > ${at} and ${decided}`;
}

/**
 * On how many hosts what each exception names waits to be installed. Each host's list is read once, whatever the number of
 * exceptions. One for every update no longer counts hosts on which something was installed after its end.
 */
async function missingOn(tx: TenantTx, exceptionIds: readonly string[]): Promise<Map<string, number>> {
  if (exceptionIds.length === 0) return new Map();
  const { rows } = await sql<{ id: string; hosts: number }>`
    with asked as (select * from exceptions where id = any(${[...exceptionIds]}::uuid[])),
    waiting as materialized (
      select f.host_id, u.name, u.version
      from host_facts f cross join lateral jsonb_to_recordset(f.inventory->'updates') u (name text, version text)
      where f.pending_updates > 0
        and exists (select 1 from asked a where a.update_name = u.name and a.update_version = u.version))
    select a.id, count(distinct x.host_id)::int as hosts
    from asked a
    join exception_hosts x on x.exception_id = a.id
    where exists (
        select 1 from waiting w
        where w.host_id = x.host_id and w.name = a.update_name and w.version = a.update_version)
      or (a.update_name is null
        and exists (select 1 from host_facts f where f.host_id = x.host_id and f.pending_updates > 0)
        and not exists (
          select 1 from host_runs r
          where r.host_id = x.host_id and r.state = 'committed' and r.ended_at > a.expires_at))
    group by a.id
  `.execute(tx);
  return new Map(rows.map(({ id, hosts }) => [id, hosts]));
}

function view(row: Row, nowMs: number, missing: ReadonlyMap<string, number>): PatchException {
  const terms = { decision: row.decision, expiresAtMs: row.expiresAt.getTime() };
  const state = stateOf(terms, nowMs);
  const { id, reason, compensation, ownerId, ownerName, requestedBy, requestedByName } = row;
  return {
    ...{ id, reason, compensation, ownerId, ownerName, ownerLost: row.ownerLost },
    update: row.name === null || row.version === null ? null : { name: row.name, version: row.version },
    place: { kind: row.placeKind, id: row.placeId, name: row.placeName, gone: row.gone },
    expiresAt: toInstant(row.expiresAt),
    expiresSoon: expiresSoon(terms, nowMs),
    state,
    ...{ requestedBy, requestedByName, requestedAt: toInstant(row.requestedAt) },
    decisions: row.decisions.map(({ atMs, ...made }) => ({ ...made, at: toInstant(atMs) })),
    missingOn: isCounted(row, state) ? (missing.get(id) ?? 0) : null,
  };
}

/** Only an exception that has or had an effect is worth reading what hosts lack. */
function isCounted({ wasApproved }: Pick<Row, 'wasApproved'>, state: ExceptionState): boolean {
  return wasApproved === true && (state === 'approved' || state === 'expired');
}

async function views(tx: TenantTx, rows: readonly Row[], nowMs: number): Promise<PatchException[]> {
  const counted = rows.filter((row) =>
    isCounted(row, stateOf({ decision: row.decision, expiresAtMs: row.expiresAt.getTime() }, nowMs)),
  );
  const missing = await missingOn(
    tx,
    counted.map(({ id }) => id),
  );
  return rows.map((row) => view(row, nowMs, missing));
}

export async function getException(tx: TenantTx, id: string, nowMs: number): Promise<PatchException | null> {
  const rows = await selectExceptions(tx).where('e.id', '=', id).execute();
  return (await views(tx, rows, nowMs))[0] ?? null;
}

export interface ExceptionPage extends PageQuery {
  readonly state?: ExceptionState;
  readonly sort?: ExceptionSort;
}

/** By their end, the nearest first, or newest first; equal ones by identifier. */
export async function listExceptions(tx: TenantTx, page: ExceptionPage, nowMs: number) {
  const { sort = 'expiresAt', state } = page;
  const limit = limitOf(page);
  const at = new Date(nowMs);
  const from = decodeCursor(page.cursor, [{ is: sort }, 'integer', 'id']);
  let query = selectExceptions(tx);
  if (state !== undefined) query = query.where(inState(state, at));
  if (from !== null) {
    const [, ms, id] = from;
    query = query.where(
      sort === 'expiresAt'
        ? sql<boolean>`(e.expires_at, e.id) > (${new Date(Number(ms))}, ${id}::uuid)`
        : sql<boolean>`e.id < ${id}::uuid`,
    );
  }
  if (sort === 'expiresAt') query = query.orderBy('e.expires_at');
  const rows = await query
    .orderBy('e.id', sort === 'expiresAt' ? 'asc' : 'desc')
    .limit(limit + 1)
    .execute();
  return pageOf(await views(tx, rows, nowMs), limit, {
    item: (exception) => exception,
    keys: ({ id, expiresAt }) => [sort, String(Date.parse(expiresAt)), id],
    total: await countExceptions(tx, state, at),
  });
}

async function countExceptions(tx: TenantTx, state: ExceptionState | undefined, at: Date): Promise<number> {
  const { count } = await tx
    .selectFrom('exceptions as e')
    .innerJoin('exception_verdicts as v', 'v.exception_id', 'e.id')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .$if(state !== undefined, (query) => query.where(inState(state ?? 'requested', at)))
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** What wants somebody, each list by its end. */
export async function listAlerts(tx: TenantTx, nowMs: number) {
  const at = new Date(nowMs);
  const soon = new Date(nowMs + expiringSoonDays * dayMs);
  const find = async (condition: RawBuilder<boolean>) =>
    views(
      tx,
      await selectExceptions(tx)
        .where(condition)
        .orderBy('e.expires_at')
        .orderBy('e.id')
        .limit(mostAlerts)
        .execute(),
      nowMs,
    );
  // Another one took its place, with a later end: nothing is forgotten.
  const renewed = sql`exists (
    select 1 from exceptions n join exception_verdicts nv on nv.exception_id = n.id
    where nv.decision = 'approved' and n.expires_at > ${at} and n.place_kind = e.place_kind
      and n.place_id is not distinct from e.place_id and n.update_name is not distinct from e.update_name
      and n.update_version is not distinct from e.update_version)`;
  const ended = await find(sql`${inState('expired', at)} and v.was_approved and not ${renewed}`);
  return {
    requested: await find(inState('requested', at)),
    expiringSoon: await find(sql`${inState('approved', at)} and e.expires_at <= ${soon}`),
    expiredMissing: ended.filter((exception) => (exception.missingOn ?? 0) > 0),
    ownerLost: await find(sql`e.expires_at > ${at} and ${inState('approved', at)} and ${ownerLost}`),
  };
}
