import { sql } from 'kysely';
import type { TenantTx } from '../../platform/db.ts';

/** Rows of each kind that a calendar program is given. */
const limit = 300;

export interface Range {
  readonly from: Date;
  readonly to: Date;
}

/** A plan or the run that carries it out, with what a person has to do with it. */
export interface PersonalWork {
  readonly planId: string;
  readonly runId: string | null;
  readonly releaseId: string | null;
  readonly number: number | null;
  readonly title: string;
  /** State of the run; `awaiting_signatures` or `planned` before there is one. */
  readonly state: string;
  readonly class: string | null;
  readonly startsAt: Date;
  readonly endsAt: Date;
  readonly revisedAt: Date;
  readonly hosts: number;
  readonly isMine: boolean;
  readonly isSigned: boolean;
}

/** Ends of exceptions that a person answers for. */
export interface PersonalEnd {
  readonly exceptionId: string;
  readonly name: string | null;
  readonly placeName: string | null;
  readonly expiresAt: Date;
  readonly revisedAt: Date;
}

/**
 * Plans of that time which a person made or asked to be released, those that wait for signatures, and the runs of all
 * that he asked for or signed. Whether he may sign is for the caller to say.
 */
export async function workOf(tx: TenantTx, personId: string, { from, to }: Range): Promise<PersonalWork[]> {
  const { rows } = await sql<PersonalWork>`
    select * from (
      select p.id as "planId", r.id as "runId", l.id as "releaseId", r.number, p.title,
        coalesce(r.state, case when l.state = 'awaiting_signatures' then l.state else 'planned' end) as state, l.class,
        coalesce(r.started_at, p.not_before) as "startsAt",
        greatest(coalesce(r.ended_at, p.not_after), coalesce(r.started_at, p.not_before)) as "endsAt",
        greatest(p.created_at, l.updated_at, r.updated_at) as "revisedAt",
        (p.counts ->> 'included')::int as hosts,
        (p.created_by = ${personId} or coalesce(l.requester_id = ${personId}, false)) as "isMine",
        exists (select 1 from release_signatures s where s.release_id = l.id and s.person_id = ${personId}) as "isSigned"
      from plans p
      left join releases l on l.plan_id = p.id and l.state in ('awaiting_signatures', 'approved')
      left join runs r on r.release_id = l.id
      where p.not_before < ${to} and p.not_after > ${from}::timestamptz - interval '7 days'
    ) work
    where "startsAt" < ${to} and "endsAt" > ${from}
      and ("isMine" or "isSigned" or state = 'awaiting_signatures')
    order by "startsAt", "planId" limit ${limit}
  `.execute(tx);
  return rows;
}

/** Approved exceptions of which a person is the owner and that end in that time. */
export async function endsOf(tx: TenantTx, personId: string, { from, to }: Range): Promise<PersonalEnd[]> {
  const { rows } = await sql<PersonalEnd>`
    select e.id as "exceptionId", e.update_name as name, e.place_name as "placeName", e.expires_at as "expiresAt",
      v.decided_at as "revisedAt"
    from exceptions e join exception_verdicts v on v.exception_id = e.id
    where e.owner_id = ${personId} and v.decision = 'approved' and e.expires_at >= ${from} and e.expires_at < ${to}
    order by e.expires_at, e.id limit ${limit}
  `.execute(tx);
  return rows;
}

/** When a window or a freeze of the tenant was last made, changed or removed: each may cut the times of others. */
export async function rulesRevisedAt(tx: TenantTx): Promise<Date> {
  const { rows } = await sql<{ at: Date | null }>`
    select greatest((select max(updated_at) from windows), (select max(updated_at) from freezes)) as at
  `.execute(tx);
  return rows[0]?.at ?? new Date(0);
}

/** When each of these runs last changed. */
export async function runsRevisedAt(
  tx: TenantTx,
  runIds: readonly string[],
): Promise<ReadonlyMap<string, Date>> {
  if (runIds.length === 0) return new Map();
  const rows = await tx
    .selectFrom('runs')
    .select(['id', 'updated_at'])
    .where('id', 'in', [...runIds])
    .execute();
  return new Map(rows.map(({ id, updated_at }) => [id, updated_at]));
}

/** When each of these plans was made. */
export async function plansMadeAt(
  tx: TenantTx,
  planIds: readonly string[],
): Promise<ReadonlyMap<string, Date>> {
  if (planIds.length === 0) return new Map();
  const rows = await tx
    .selectFrom('plans')
    .select(['id', 'created_at'])
    .where('id', 'in', [...planIds])
    .execute();
  return new Map(rows.map(({ id, created_at }) => [id, created_at]));
}
