import { sql } from 'kysely';
import type { SystemTx } from '../../platform/db.ts';
import { packCell, packDay, unpackHour, type Day, type Hour } from './packing.policy.ts';
import { hoursPerDay, rings, slotOf, type OpenSlot, type SlotChange } from './rings.policy.ts';
import type { Cell, Codes } from './tally.policy.ts';

export interface HostKey {
  readonly tenantId: string;
  readonly hostId: string;
}
export interface HostHour extends HostKey {
  readonly hour: number;
}

/** How far packing has come. */
export interface Progress {
  readonly packedUntil: number;
  readonly cursor: HostKey | null;
}

const list = (values: readonly (string | number)[]): string => `{${values.join(',')}}`;

/** Makes sure that packing has a beginning. */
export async function beginPacking(tx: SystemTx, hour: number): Promise<void> {
  await tx
    .insertInto('metric_packing')
    .values({ packed_until: hour })
    .onConflict((conflict) => conflict.column('only_one').doNothing())
    .execute();
}

/** Locks the progress until the transaction ends; null when another node is packing. */
export async function lockProgress(tx: SystemTx): Promise<Progress | null> {
  const row = await tx
    .selectFrom('metric_packing')
    .select(['packed_until', 'cursor_tenant', 'cursor_host'])
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
  if (row === undefined) return null;
  const { packed_until, cursor_tenant, cursor_host } = row;
  const isUnderway = cursor_tenant !== null && cursor_host !== null;
  return {
    packedUntil: packed_until,
    cursor: isUnderway ? { tenantId: cursor_tenant, hostId: cursor_host } : null,
  };
}

export async function saveProgress(tx: SystemTx, { packedUntil, cursor }: Progress): Promise<void> {
  await tx
    .updateTable('metric_packing')
    .set({
      packed_until: packedUntil,
      cursor_tenant: cursor?.tenantId ?? null,
      cursor_host: cursor?.hostId ?? null,
    })
    .execute();
}

/** The first day from this one on that has a raw partition: before it there is nothing to pack. */
export async function firstOpenDay(tx: SystemTx, day: number): Promise<number> {
  const { rows } = await sql<{ day: number | null }>`
    select min(period) as day from metric_slots where ring = 'samples' and period >= ${day}`.execute(tx);
  return rows[0]?.day ?? day;
}

/** Hosts after the cursor, of all tenants, in the order of their keys. */
export async function nextHosts(tx: SystemTx, cursor: HostKey | null, limit: number): Promise<HostKey[]> {
  let query = tx.selectFrom('hosts').select(['tenant_id as tenantId', 'id as hostId']);
  if (cursor !== null)
    query = query.where(sql<boolean>`(tenant_id, id) > (${cursor.tenantId}::uuid, ${cursor.hostId}::uuid)`);
  return query.orderBy('tenant_id').orderBy('id').limit(limit).execute();
}

/** Marked hours before this one; the marks are gone when the transaction commits. Hours that somebody holds are left to them. */
export async function takeLateHours(tx: SystemTx, before: number, limit: number): Promise<HostHour[]> {
  const { rows } = await sql<HostHour>`
    delete from metric_late_hours l using (
      select tenant_id, host_id, hour from metric_late_hours where hour < ${before}
      order by tenant_id, host_id, hour limit ${limit} for update skip locked) taken
    where (l.tenant_id, l.host_id, l.hour) = (taken.tenant_id, taken.host_id, taken.hour)
    returning l.tenant_id as "tenantId", l.host_id as "hostId", l.hour`.execute(tx);
  return rows;
}

interface FoundHour extends HostHour {
  readonly samples: Hour;
  /** What is packed already. */
  readonly packed: Hour | null;
}

const bytesPerSample = 18;
const nothingRead = -1;

/** Each sample is its minute in the hour and eight codes, two bytes each, -1 where nothing was read. */
function readSamples(bytes: Buffer): Hour {
  const samples = new Map<number, Codes>();
  for (let at = 0; at < bytes.length; at += bytesPerSample) {
    const codes = Array.from({ length: 8 }, (_, place) => {
      const code = bytes.readInt16BE(at + 2 + place * 2);
      return code === nothingRead ? null : code;
    });
    samples.set(bytes.readInt16BE(at), codes);
  }
  return samples;
}

/** Raw samples and packed ones of these hours; hours without a raw sample are left out. */
export async function findHours(tx: SystemTx, hours: readonly HostHour[]): Promise<FoundHour[]> {
  const two = (column: string) => sql`int2send(coalesce(s.${sql.ref(column)}, ${nothingRead}::smallint))`;
  const { rows } = await sql<HostHour & { raw: Buffer; packed: Buffer | null }>`
    select x.tenant_id as "tenantId", x.host_id as "hostId", x.hour, raw.bytes as raw, h.packed
    from unnest(${list(hours.map((one) => one.tenantId))}::uuid[], ${list(hours.map((one) => one.hostId))}::uuid[],
      ${list(hours.map((one) => one.hour))}::integer[]) as x (tenant_id, host_id, hour)
    cross join lateral (
      select string_agg(int2send((s.minute % 60)::smallint) || ${two('cpu_busy')} || ${two('memory_used')}
        || ${two('swap_used')} || ${two('load1')} || ${two('root_used')} || ${two('disk_throughput')}
        || ${two('net_received')} || ${two('net_sent')}, ''::bytea) as bytes
      from metric_samples s
      where s.tenant_id = x.tenant_id and s.host_id = x.host_id
        and s.slot = (x.hour / 24) % ${rings.samples.places}::integer
        and s.minute >= x.hour * 60 and s.minute < x.hour * 60 + 60) raw
    left join metric_hours h on h.tenant_id = x.tenant_id and h.host_id = x.host_id and h.hour = x.hour
      and h.slot = (x.hour / ${rings.hours.spanDays * hoursPerDay}::integer) % ${rings.hours.places}::integer
    where raw.bytes is not null`.execute(tx);
  return rows.map(({ raw, packed, ...key }) => ({
    ...key,
    samples: readSamples(raw),
    packed: packed === null ? null : unpackHour(packed),
  }));
}

/** Writes packed hours in place of what is there, where the period of their ring is open. */
export async function saveHours(
  tx: SystemTx,
  hours: readonly (HostHour & { readonly packed: Buffer })[],
): Promise<void> {
  if (hours.length === 0) return;
  await sql`
    insert into metric_hours (tenant_id, host_id, hour, slot, packed)
    select x.tenant_id, x.host_id, x.hour, s.slot, decode(x.packed, 'hex')
    from unnest(${list(hours.map((one) => one.tenantId))}::uuid[], ${list(hours.map((one) => one.hostId))}::uuid[],
      ${list(hours.map((one) => one.hour))}::integer[], ${list(hours.map((one) => one.packed.toString('hex')))}::text[])
      as x (tenant_id, host_id, hour, packed)
    join metric_slots s on s.ring = 'hours' and s.period = x.hour / ${rings.hours.spanDays * hoursPerDay}::integer
    on conflict (tenant_id, host_id, hour, slot) do update set packed = excluded.packed`.execute(tx);
}

/** Packed hours of one day for each of these hosts. */
export async function listDayHours(
  tx: SystemTx,
  hosts: readonly HostKey[],
  day: number,
): Promise<Map<string, Map<number, Hour>>> {
  const { rows } = await sql<{ hostId: string; hour: number; packed: Buffer }>`
    select h.host_id as "hostId", h.hour, h.packed
    from unnest(${list(hosts.map((one) => one.tenantId))}::uuid[], ${list(hosts.map((one) => one.hostId))}::uuid[])
      as x (tenant_id, host_id)
    join metric_hours h on h.tenant_id = x.tenant_id and h.host_id = x.host_id
      and h.hour >= ${day * hoursPerDay} and h.hour < ${(day + 1) * hoursPerDay}
      and h.slot = ${slotOf('hours', day)}`.execute(tx);
  const byHost = new Map<string, Map<number, Hour>>();
  for (const { hostId, hour, packed } of rows) {
    const hours = byHost.get(hostId) ?? new Map<number, Hour>();
    byHost.set(hostId, hours.set(hour % hoursPerDay, unpackHour(packed)));
  }
  return byHost;
}

/** Writes rolled-up days in place of what is there, where the period of their ring is open. */
export async function saveDays(
  tx: SystemTx,
  days: readonly (HostKey & { readonly day: number; readonly hours: Day; readonly whole: Cell })[],
): Promise<void> {
  if (days.length === 0) return;
  await sql`
    insert into metric_days (tenant_id, host_id, day, slot, whole, hours)
    select x.tenant_id, x.host_id, x.day, s.slot, decode(x.whole, 'hex'), decode(x.hours, 'hex')
    from unnest(${list(days.map((one) => one.tenantId))}::uuid[], ${list(days.map((one) => one.hostId))}::uuid[],
      ${list(days.map((one) => one.day))}::integer[], ${list(days.map((one) => packCell(one.whole).toString('hex')))}::text[],
      ${list(days.map((one) => packDay(one.hours).toString('hex')))}::text[]) as x (tenant_id, host_id, day, whole, hours)
    join metric_slots s on s.ring = 'days' and s.period = x.day / ${rings.days.spanDays}::integer
    on conflict (tenant_id, host_id, day, slot) do update set whole = excluded.whole, hours = excluded.hours`.execute(
    tx,
  );
}

/** One node at a time changes what partitions are open for; false when another does so now. */
export async function lockSlots(tx: SystemTx): Promise<boolean> {
  const { rows } = await sql<{ mine: boolean }>`
    select pg_try_advisory_xact_lock(hashtextextended('metrics slots', 0)) as mine`.execute(tx);
  return rows[0]?.mine === true;
}

export async function listOpenSlots(tx: SystemTx): Promise<OpenSlot[]> {
  const rows = await tx.selectFrom('metric_slots').selectAll().execute();
  return rows as OpenSlot[];
}

/** The first day of which something raw is not packed yet. */
export async function unpackedDay(tx: SystemTx): Promise<number> {
  const { rows } = await sql<{ hour: number | null }>`
    select least((select packed_until from metric_packing), (select min(hour) from metric_late_hours)) as hour`.execute(
    tx,
  );
  return Math.floor((rows[0]?.hour ?? 0) / hoursPerDay);
}

/** Empties a partition and opens it for its next period, if it has one. Fails soon when somebody reads it for long. */
export async function changeSlot(tx: SystemTx, { ring, slot, from, to }: SlotChange): Promise<void> {
  if (from !== null) {
    await sql`set local lock_timeout to '2s'`.execute(tx);
    await sql`truncate ${sql.table(`${rings[ring].table}_${slot}`)}`.execute(tx);
    await tx.deleteFrom('metric_slots').where('ring', '=', ring).where('slot', '=', slot).execute();
  }
  if (to !== null) await tx.insertInto('metric_slots').values({ ring, slot, period: to }).execute();
}
