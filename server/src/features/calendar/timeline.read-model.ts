import { sql } from 'kysely';
import type { TenantTx } from '../../platform/db.ts';
import type { Range } from './calendar.read-model.ts';
import type { LaneException, LaneSource } from './timeline.policy.ts';

/** Exceptions that a screen can hold. */
const exceptionLimit = 100;

/** Approved exceptions that hold in that time. */
export async function exceptionsBetween(tx: TenantTx, { from, to }: Range): Promise<LaneException[]> {
  const { rows } = await sql<LaneException>`
    select e.id as "exceptionId", e.update_name as update, e.place_kind as "placeKind", e.place_id as "placeId",
      e.place_name as "placeName", v.decided_at as "startsAt", e.expires_at as "endsAt"
    from exceptions e join exception_verdicts v on v.exception_id = e.id
    where v.decision = 'approved' and v.decided_at < ${to} and e.expires_at > ${from}
    order by e.expires_at, e.id limit ${exceptionLimit}
  `.execute(tx);
  return rows;
}

/** Sites by name, with how many hosts each has, and which of the hosts in question are there. */
export async function siteLanes(tx: TenantTx, hostIds: readonly string[]): Promise<LaneSource[]> {
  const { rows } = await sql<LaneSource>`
    select 'site' as kind, s.id, s.name, count(h.id)::int as hosts, array[s.id] as "siteIds", null as "maxDown",
      coalesce(array_agg(h.id) filter (where h.id = any(${[...hostIds]}::uuid[])), '{}') as "hostIds"
    from sites s left join hosts h on h.site_id = s.id
    group by s.id order by lower(s.name), s.id
  `.execute(tx);
  return rows;
}

/** The hosts that are in no group, as one lane; null when there are none. */
export async function ungroupedLane(tx: TenantTx, hostIds: readonly string[]): Promise<LaneSource | null> {
  const { rows } = await sql<LaneSource>`
    select 'group' as kind, null as id, null as name, count(*)::int as hosts, null as "maxDown",
      coalesce(array_agg(distinct h.site_id), '{}') as "siteIds",
      coalesce(array_agg(h.id) filter (where h.id = any(${[...hostIds]}::uuid[])), '{}') as "hostIds"
    from hosts h where not exists (select 1 from group_members m where m.host_id = h.id)
    having count(*) > 0
  `.execute(tx);
  return rows[0] ?? null;
}

/** Whose hosts a page of lanes shows; all of them when nothing is said. */
export interface HostsOf {
  readonly groupId?: string | undefined;
  readonly siteId?: string | undefined;
  readonly ungrouped?: 'yes' | undefined;
}

/** Hosts by name after one, one row more than `limit` when there are more. */
export async function hostLanes(
  tx: TenantTx,
  of: HostsOf,
  page: { readonly after: readonly string[] | null; readonly limit: number },
): Promise<LaneSource[]> {
  const { groupId = null, siteId = null, ungrouped } = of;
  const [name = null, id = null] = page.after ?? [];
  const { rows } = await sql<LaneSource>`
    select 'host' as kind, h.id, h.hostname as name, 1 as hosts, array[h.site_id] as "siteIds", null as "maxDown",
      array[h.id] as "hostIds"
    from hosts h
    where (${siteId}::uuid is null or h.site_id = ${siteId}::uuid)
      and (${groupId}::uuid is null
        or exists (select 1 from group_members m where m.host_id = h.id and m.group_id = ${groupId}::uuid))
      and (${ungrouped !== 'yes'} or not exists (select 1 from group_members m where m.host_id = h.id))
      and (${name}::text is null or (h.hostname, h.id) > (${name}::text, ${id}::uuid))
    order by h.hostname, h.id limit ${page.limit + 1}
  `.execute(tx);
  return rows;
}

/** Where a host is in a plan or run. */
export interface HostPart {
  readonly planId: string;
  readonly hostId: string;
  readonly wave: number | null;
  readonly state: string | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

/** The parts of these hosts in these plans, and in the runs that carry them out. */
export async function hostParts(
  tx: TenantTx,
  planIds: readonly string[],
  hostIds: readonly string[],
): Promise<HostPart[]> {
  if (planIds.length === 0 || hostIds.length === 0) return [];
  const { rows } = await sql<HostPart>`
    select r.plan_id as "planId", hr.host_id as "hostId", hr.wave, hr.state, hr.started_at as "startedAt",
      hr.ended_at as "endedAt"
    from host_runs hr join runs r on r.id = hr.run_id
    where r.plan_id = any(${[...planIds]}::uuid[]) and hr.host_id = any(${[...hostIds]}::uuid[]) and hr.replaced_by is null
    union all
    select p.id, (planned ->> 'hostId')::uuid, (planned ->> 'wave')::int, null, null, null
    from plans p cross join lateral jsonb_array_elements(p.preview -> 'hosts') planned
    where p.id = any(${[...planIds]}::uuid[]) and not exists (select 1 from runs r where r.plan_id = p.id)
      and (planned ->> 'included')::boolean and (planned ->> 'hostId')::uuid = any(${[...hostIds]}::uuid[])
  `.execute(tx);
  return rows;
}
