import type { EndedException, ExceptionBody, PatchException } from '#contract/exceptions.ts';
import { sql } from 'kysely';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';

interface NewException extends Omit<ExceptionBody, 'expiresAt'> {
  readonly id: string;
  readonly placeName: string | null;
  readonly expiresAt: Date;
  readonly requestedBy: string;
  readonly requestedAt: Date;
}

/** An approved exception that holds now, and the hosts for which it does; null for every one. */
export interface ActiveException {
  readonly id: string;
  readonly update: { readonly name: string; readonly version: string } | null;
  readonly hostIds: ReadonlySet<string> | null;
  readonly reason: string;
  readonly expiresAt: string;
}

export async function createException(tx: TenantTx, made: NewException): Promise<void> {
  const { id, update, place, reason, compensation } = made;
  await tx
    .insertInto('exceptions')
    .values({
      ...{ id, reason, compensation },
      ...{ update_name: update?.name ?? null, update_version: update?.version ?? null },
      ...{ place_kind: place.kind, place_id: place.id, place_name: made.placeName },
      ...{ owner_id: made.ownerId, expires_at: made.expiresAt },
      ...{ requested_by: made.requestedBy, requested_at: made.requestedAt },
    })
    .execute();
}

/** False when somebody was faster. */
export async function addDecision(
  tx: TenantTx,
  exceptionId: string,
  made: Pick<PatchException['decisions'][number], 'decision' | 'reason' | 'by'> & {
    readonly seq: number;
    readonly at: Date;
  },
): Promise<boolean> {
  const { seq, decision, reason, by, at } = made;
  const row = await tx
    .insertInto('exception_decisions')
    .values({ exception_id: exceptionId, seq, decision, reason, decided_by: by, decided_at: at })
    .onConflict((conflict) => conflict.doNothing())
    .returning('seq')
    .executeTakeFirst();
  return row !== undefined;
}

/** The name of a place that exists here; null when it does not. */
export async function placeName(
  tx: TenantTx,
  kind: 'host' | 'group' | 'site',
  id: string,
): Promise<string | null> {
  const tables = { host: 'hosts', group: 'groups', site: 'sites' } as const;
  const column = kind === 'host' ? 'hostname' : 'name';
  const { rows } = await sql<{ name: string }>`
    select ${sql.ref(column)} as name from ${sql.table(tables[kind])} where id = ${id}::uuid`.execute(tx);
  return rows[0]?.name ?? null;
}

/** True when the person can answer for something here: a member with a role and an open account. */
export async function canOwn(tx: TenantTx, personId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('memberships as m')
    .innerJoin('people as p', 'p.id', 'm.person_id')
    .select('m.person_id')
    .where('m.person_id', '=', personId)
    .where('p.disabled_at', 'is', null)
    .where(sql<boolean>`cardinality(m.roles) > 0`)
    .executeTakeFirst();
  return row !== undefined;
}

/** Exceptions that hold at an instant, for these hosts, in a fixed order. */
export async function activeExceptions(
  tx: TenantTx,
  hostIds: readonly string[],
  at: Date,
): Promise<ActiveException[]> {
  const rows = await tx
    .selectFrom('exceptions as e')
    .innerJoin('exception_verdicts as v', 'v.exception_id', 'e.id')
    .select(['e.id', 'e.update_name', 'e.update_version', 'e.reason', 'e.expires_at'])
    .select(
      sql<string[] | null>`case when e.place_kind = 'tenant' then null else (
        select coalesce(array_agg(x.host_id::text order by x.host_id), '{}') from exception_hosts x
        where x.exception_id = e.id and x.host_id = any(${[...hostIds]}::uuid[])) end`.as('hosts'),
    )
    .where('v.decision', '=', 'approved')
    .where('e.expires_at', '>', at)
    .orderBy('e.id')
    .execute();
  return rows.map(({ id, reason, update_name: name, update_version: version, expires_at, hosts }) => ({
    ...{ id, reason, hostIds: hosts === null ? null : new Set(hosts), expiresAt: toInstant(expires_at) },
    update: name === null || version === null ? null : { name, version },
  }));
}

export async function recordPlan(
  tx: TenantTx,
  planId: string,
  exceptionIds: readonly string[],
): Promise<void> {
  if (exceptionIds.length === 0) return;
  await tx
    .insertInto('plan_exceptions')
    .values(exceptionIds.map((exceptionId) => ({ plan_id: planId, exception_id: exceptionId })))
    .execute();
}

/** Exceptions that a plan rests on and that had ended by an instant, the first to end first. */
export async function endedOfPlan(tx: TenantTx, planId: string, at: Date): Promise<EndedException[]> {
  const { rows } = await sql<{ id: string; reason: string; revoked: boolean; ended_at: Date }>`
    select e.id, e.reason, v.decision = 'revoked' and v.decided_at < e.expires_at as revoked,
      case when v.decision = 'revoked' then least(v.decided_at, e.expires_at) else e.expires_at end as ended_at
    from plan_exceptions p
    join exceptions e on e.id = p.exception_id
    join exception_verdicts v on v.exception_id = e.id
    where p.plan_id = ${planId}
      and (e.expires_at <= ${at} or (v.decision = 'revoked' and v.decided_at <= ${at}))
    order by ended_at, e.id
  `.execute(tx);
  return rows.map(({ id, reason, revoked, ended_at }) => ({
    ...{ exceptionId: id, reason, how: revoked ? ('revoked' as const) : ('expired' as const) },
    endedAt: toInstant(ended_at),
  }));
}
