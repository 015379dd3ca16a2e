/**
 * Where measures are kept. A ring is a table whose partitions take turns: period p lives in partition p modulo `places`.
 * Days, hours and minutes are whole numbers since the Unix epoch, UTC.
 */
export const rings = {
  samples: { table: 'metric_samples', spanDays: 1, places: 8 },
  hours: { table: 'metric_hours', spanDays: 7, places: 20 },
  days: { table: 'metric_days', spanDays: 91, places: 24 },
} as const;
export type RingName = keyof typeof rings;

export const minutesPerDay = 1440;
export const minutesPerHour = 60;
export const hoursPerDay = 24;
const minuteMs = 60_000;

/** Days for which each ring keeps at least what it holds. */
export type Retention = Readonly<Record<RingName, number>>;

export const minuteOf = (atMs: number): number => Math.floor(atMs / minuteMs);
export const dayOf = (atMs: number): number => Math.floor(atMs / minuteMs / minutesPerDay);

/** The period of a ring in which a day lies. */
export function periodOf(ring: RingName, day: number): number {
  return Math.floor(day / rings[ring].spanDays);
}

export function slotOf(ring: RingName, day: number): number {
  return periodOf(ring, day) % rings[ring].places;
}

/** Days that a ring can keep, with a period ahead and one under way: no more may be asked for. */
export function longestRetention(ring: RingName): number {
  const { spanDays, places } = rings[ring];
  return (places - 2) * spanDays;
}

/** The first minute that is still kept raw: older samples are refused. */
export function firstKeptMinute(nowMs: number, retention: Retention): number {
  return (dayOf(nowMs) - retention.samples) * minutesPerDay;
}

/** What a partition is open for, and what it is to become. */
export interface SlotChange {
  readonly ring: RingName;
  readonly slot: number;
  /** The period that it still holds; null when it is empty. */
  readonly from: number | null;
  /** The period for which it is opened; null when it is emptied only. */
  readonly to: number | null;
}

export interface OpenSlot {
  readonly ring: RingName;
  readonly slot: number;
  readonly period: number;
}

/**
 * Partitions to open and to empty so that every kept period, the present one and the next have a place. Pure.
 * A raw period before `unpackedDay` only is ever given up: what is not packed yet stays, whatever its age.
 */
export function changesOf(
  open: readonly OpenSlot[],
  when: { readonly nowMs: number; readonly retention: Retention; readonly unpackedDay: number },
): SlotChange[] {
  const today = dayOf(when.nowMs);
  const changes: SlotChange[] = [];
  for (const ring of Object.keys(rings) as RingName[]) {
    const first = periodOf(ring, today - when.retention[ring]);
    const last = periodOf(ring, today) + 1;
    const wanted = new Map<number, number>();
    for (let period = first; period <= last; period += 1) wanted.set(period % rings[ring].places, period);
    const held = new Map(open.filter((one) => one.ring === ring).map(({ slot, period }) => [slot, period]));
    for (let slot = 0; slot < rings[ring].places; slot += 1) {
      const [from, to] = [held.get(slot) ?? null, wanted.get(slot) ?? null];
      if (from === to) continue;
      const isNeeded = ring === 'samples' && from !== null && from >= when.unpackedDay;
      if (!isNeeded) changes.push({ ring, slot, from, to });
    }
  }
  return changes;
}
