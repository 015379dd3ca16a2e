import { sql } from 'kysely';
import type { TenantTx } from '../../platform/db.ts';

/** Rows of each kind that a screen can hold. */
export const calendarLimit = 300;

/** A plan or a run on the calendar. Its hosts are listed only while it can still meet another. */
export interface CalendarWork {
  readonly id: string;
  readonly planId: string;
  /** Null for a plan that has no run. */
  readonly number: number | null;
  readonly title: string;
  readonly state: string;
  readonly startsAt: Date;
  readonly endsAt: Date;
  readonly siteIds: readonly string[];
  readonly hostIds: readonly string[];
}

interface Range {
  readonly from: Date;
  readonly to: Date;
}

/** Plans of that time that no run carries out. */
export async function plansBetween(tx: TenantTx, { from, to }: Range): Promise<CalendarWork[]> {
  const { rows } = await sql<CalendarWork>`
    select p.id, p.id as "planId", null as number, p.title, 'planned' as state,
      p.not_before as "startsAt", p.not_after as "endsAt",
      coalesce(array_agg(distinct h.site_id) filter (where h.id is not null), '{}') as "siteIds",
      coalesce(array_agg(h.id) filter (where h.id is not null), '{}') as "hostIds"
    from (
      select * from plans
      where not_before < ${to} and not_after > ${from}
        and not exists (select 1 from runs r where r.plan_id = plans.id)
      order by not_before, id limit ${calendarLimit}
    ) p
    left join lateral jsonb_array_elements(p.preview -> 'hosts') planned on (planned ->> 'included')::boolean
    left join hosts h on h.id = (planned ->> 'hostId')::uuid
    group by p.id, p.title, p.not_before, p.not_after order by p.not_before, p.id
  `.execute(tx);
  return rows;
}

/** Runs of that time: from their start, or when they may start, to their end, or when they must end. */
export async function runsBetween(tx: TenantTx, { from, to }: Range): Promise<CalendarWork[]> {
  const { rows } = await sql<CalendarWork>`
    select r.id, r.plan_id as "planId", r.number, r.title, r.state, r.starts_at as "startsAt", r.ends_at as "endsAt",
      coalesce(array_agg(distinct h.site_id) filter (where h.id is not null), '{}') as "siteIds",
      coalesce(array_agg(distinct h.id) filter (where h.id is not null), '{}') as "hostIds"
    from (
      select id, plan_id, number, title, state, starts_at, greatest(ends_at, starts_at) as ends_at
      from (select *, coalesce(started_at, not_before) as starts_at, coalesce(ended_at, not_after) as ends_at from runs) all_runs
      where starts_at < ${to} and greatest(ends_at, starts_at) >= ${from}
      order by starts_at, id limit ${calendarLimit}
    ) r
    left join host_runs hr on hr.run_id = r.id and hr.replaced_by is null
    left join hosts h on h.id = hr.host_id
    group by r.id, r.plan_id, r.number, r.title, r.state, r.starts_at, r.ends_at order by r.starts_at, r.id
  `.execute(tx);
  return rows;
}
