import { sql } from 'kysely';
import { measures } from '#contract/metrics.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';
import { unpackCell, unpackDay, unpackHour, type Day, type Hour } from './packing.policy.ts';
import { hoursPerDay, minutesPerDay, minutesPerHour, rings, slotOf } from './rings.policy.ts';
import type { Cell, Codes } from './tally.policy.ts';

/** A sample of a host that was recognised by its certificate. */
export interface SampleDraft {
  readonly tenantId: string;
  readonly hostId: string;
  readonly minute: number;
  readonly codes: Codes;
}

/** A span of minutes, the end not included. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

const list = (values: readonly (string | number | null)[]): string =>
  `{${values.map((value) => value ?? 'null').join(',')}}`;

/**
 * Keeps samples, each once; those of a day for which no partition is open are left out. An hour before `presentHour` that
 * gets one is marked: it may be packed already. @returns how many were new, and how many had a place.
 */
export async function insertSamples(
  tx: SystemTx,
  samples: readonly SampleDraft[],
  presentHour: number,
): Promise<{ kept: number; placed: number }> {
  const column = (place: number) =>
    sql`${list(samples.map(({ codes }) => codes[place] ?? null))}::smallint[]`;
  const { rows } = await sql<{ kept: number; placed: number }>`
    /* prepared metrics.samples */
    with placed as (
      select x.*, s.slot from unnest(
        ${list(samples.map((one) => one.tenantId))}::uuid[], ${list(samples.map((one) => one.hostId))}::uuid[],
        ${list(samples.map((one) => one.minute))}::integer[], ${sql.join(measures.map((_, place) => column(place)))}
      ) as x (tenant_id, host_id, minute, cpu_busy, memory_used, swap_used, load1, root_used, disk_throughput,
        net_received, net_sent)
      join metric_slots s on s.ring = 'samples' and s.period = x.minute / ${minutesPerDay}::integer),
    kept as (
      insert into metric_samples (tenant_id, host_id, minute, cpu_busy, memory_used, swap_used, load1, root_used,
        disk_throughput, net_received, net_sent, slot)
      select * from placed on conflict do nothing returning tenant_id, host_id, minute),
    late as (
      insert into metric_late_hours (tenant_id, host_id, hour)
      select distinct tenant_id, host_id, minute / ${minutesPerHour}::integer from kept
      where minute < ${presentHour * minutesPerHour}::integer order by 1, 2, 3
      -- The row is locked even when it is there: whoever packs the hour waits for these samples, or takes the mark later.
      on conflict (tenant_id, host_id, hour) do update set hour = excluded.hour)
    select (select count(*) from kept)::int as kept, (select count(*) from placed)::int as placed`.execute(
    tx,
  );
  return rows[0] ?? { kept: 0, placed: 0 };
}

/** Days whose raw partitions are open, each with its place: what is not among them is not looked for. */
function slotsOf(span: Span): number[] {
  const slots = new Set<number>();
  const last = Math.floor((span.to - 1) / minutesPerDay);
  for (
    let day = Math.max(Math.floor(span.from / minutesPerDay), last - rings.samples.places);
    day <= last;
    day += 1
  )
    slots.add(slotOf('samples', day));
  return [...slots];
}

interface SampleRow {
  readonly minute: number;
  readonly codes: string;
}

const codesAsText = sql`array_to_string(array[cpu_busy, memory_used, swap_used, load1, root_used, disk_throughput,
  net_received, net_sent], ',', '')`;

/** Codes of a row that the database has written as one text; nothing between two commas is null. */
function readCodes(text: string): Codes {
  return text.split(',').map((code) => (code === '' ? null : Number(code)));
}

/** Raw samples of a host by their minute. */
export async function listSamples(tx: TenantTx, hostId: string, span: Span): Promise<Map<number, Codes>> {
  const { rows } = await sql<SampleRow>`
    select minute, ${codesAsText} as codes from metric_samples
    where host_id = ${hostId} and slot = any(${list(slotsOf(span))}::smallint[])
      and minute >= ${span.from} and minute < ${span.to} order by minute`.execute(tx);
  return new Map(rows.map(({ minute, codes }) => [minute, readCodes(codes)]));
}

/** Packed hours of a host by their hour, but for those of some days. */
export async function listHours(
  tx: TenantTx,
  hostId: string,
  span: Span & { readonly butDays: readonly number[] },
): Promise<Map<number, Hour>> {
  const [first, last] = [Math.floor(span.from / minutesPerHour), Math.floor((span.to - 1) / minutesPerHour)];
  const rows = await tx
    .selectFrom('metric_hours')
    .select(['hour', 'packed'])
    .where('host_id', '=', hostId)
    .where('hour', '>=', first)
    .where('hour', '<=', last)
    .where(sql<boolean>`hour / ${hoursPerDay}::integer <> all(${list(span.butDays)}::integer[])`)
    .orderBy('hour')
    .execute();
  return new Map(rows.map(({ hour, packed }) => [hour, unpackHour(packed)]));
}

/** Days that are rolled up: their hours, or the whole of each. */
export async function listDays(
  tx: TenantTx,
  hostId: string,
  wish: Span & { readonly whole: boolean },
): Promise<Map<number, Day | Cell>> {
  const rows = await tx
    .selectFrom('metric_days')
    .select(['day', wish.whole ? 'whole as packed' : 'hours as packed'])
    .where('host_id', '=', hostId)
    .where('day', '>=', Math.floor(wish.from / minutesPerDay))
    .where('day', '<=', Math.floor((wish.to - 1) / minutesPerDay))
    .orderBy('day')
    .execute();
  return new Map(
    rows.map(({ day, packed }) => [day, wish.whole ? (unpackCell(packed) ?? []) : unpackDay(packed)]),
  );
}

/** Whether the tenant has such a host. */
export async function hasHost(tx: TenantTx, hostId: string): Promise<boolean> {
  const row = await tx.selectFrom('hosts').select('id').where('id', '=', hostId).executeTakeFirst();
  return row !== undefined;
}

/** Minute of the newest sample that is kept in any form; of what is only rolled up, the last of its day. */
export async function lastMinute(tx: TenantTx, hostId: string): Promise<number | null> {
  const { rows } = await sql<{ minute: number | null; hour: number | null; day: number | null }>`
    select (select max(minute) from metric_samples where host_id = ${hostId}) as minute,
      (select max(hour) from metric_hours where host_id = ${hostId}) as hour,
      (select max(day) from metric_days where host_id = ${hostId}) as day`.execute(tx);
  const { minute = null, hour = null, day = null } = rows[0] ?? {};
  if (minute !== null) return minute;
  if (hour !== null) return (hour + 1) * minutesPerHour - 1;
  return day === null ? null : (day + 1) * hoursPerDay * minutesPerHour - 1;
}
