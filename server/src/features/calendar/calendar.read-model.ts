import { sql } from 'kysely';
import { maxDownOf } from '#contract/group-rules.ts';
import type { DisruptionBudget } from '#contract/groups.ts';
import type { TimelineWork } from '#contract/calendar.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { CalendarGroup } from './conflicts.policy.ts';

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
  /** When a run began; null for what has not. */
  readonly startedAt: Date | null;
  readonly siteIds: readonly string[];
  readonly hostIds: readonly string[];
  /** What the plan foretold, P50 and P95, seconds from its beginning; null when nothing. */
  readonly expectedLowS: number | null;
  readonly expectedHighS: number | null;
  readonly fit: TimelineWork['fit'];
}

export interface Range {
  readonly from: Date;
  readonly to: Date;
}

/** What the plan said about its time when it was made. */
const foretold = sql`
  (p.preview #>> '{timing,expectedSeconds,low}')::float8 as "expectedLowS",
  (p.preview #>> '{timing,expectedSeconds,high}')::float8 as "expectedHighS",
  p.preview #>> '{timing,fit}' as fit`;

/** Plans of that time that no run carries out. */
export async function plansBetween(tx: TenantTx, { from, to }: Range): Promise<CalendarWork[]> {
  const { rows } = await sql<CalendarWork>`
    select p.id, p.id as "planId", null as number, p.title, 'planned' as state,
      p.not_before as "startsAt", p.not_after as "endsAt", null as "startedAt", ${foretold},
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
    group by p.id, p.title, p.not_before, p.not_after, p.preview order by p.not_before, p.id
  `.execute(tx);
  return rows;
}

/** Runs of that time: from their start, or when they may start, to their end, or when they must end. */
export async function runsBetween(tx: TenantTx, { from, to }: Range): Promise<CalendarWork[]> {
  const { rows } = await sql<CalendarWork>`
    with shown as (
      select id, plan_id, number, title, state, starts_at, started_at, greatest(ends_at, starts_at) as ends_at
      from (select *, coalesce(started_at, not_before) as starts_at, coalesce(ended_at, not_after) as ends_at from runs) all_runs
      where starts_at < ${to} and greatest(ends_at, starts_at) >= ${from}
      order by starts_at, id limit ${calendarLimit}
    ), placed as (
      select hr.run_id, array_agg(distinct h.site_id) as site_ids, array_agg(distinct h.id) as host_ids
      from host_runs hr join hosts h on h.id = hr.host_id
      where hr.run_id in (select id from shown) and hr.replaced_by is null
      group by hr.run_id
    )
    select r.id, r.plan_id as "planId", r.number, r.title, r.state, r.starts_at as "startsAt", r.ends_at as "endsAt",
      r.started_at as "startedAt", ${foretold},
      coalesce(placed.site_ids, '{}') as "siteIds", coalesce(placed.host_ids, '{}') as "hostIds"
    from shown r
    join plans p on p.id = r.plan_id
    left join placed on placed.run_id = r.id
    order by r.starts_at, r.id
  `.execute(tx);
  return rows;
}

/** Every group, by name. A tenant has hundreds of them at most. */
export async function listGroups(tx: TenantTx): Promise<CalendarGroup[]> {
  const { rows } = await sql<Omit<CalendarGroup, 'maxDown'> & { readonly budget: DisruptionBudget }>`
    select g.id, g.name, jsonb_build_object('kind', g.budget_kind, 'hosts', g.budget_hosts) as budget,
      coalesce(array_agg(h.id) filter (where h.id is not null), '{}') as "hostIds",
      coalesce(array_agg(distinct h.site_id) filter (where h.id is not null), '{}') as "siteIds"
    from groups g
    left join group_members m on m.group_id = g.id
    left join hosts h on h.id = m.host_id
    group by g.id order by lower(g.name), g.id
  `.execute(tx);
  return rows.map(({ budget, ...group }) => ({ ...group, maxDown: maxDownOf(budget, group.hostIds.length) }));
}
