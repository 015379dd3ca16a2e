import { fromLocalField, toLocalField } from '../plans/windowTimes.ts';
import { addMonths, daysOf, shiftDay } from './calendarDays.ts';

export const timelineZooms = ['day', 'week', 'month'] as const;
export type TimelineZoom = (typeof timelineZooms)[number];

/** A mark on the axis, with where it is in the span, percent. */
export interface Tick {
  readonly atMs: number;
  readonly left: number;
}

/** What a timeline shows: [fromMs, toMs), real time, so that a day on which the clock changes is 23 or 25 hours wide. */
export interface TimelineSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly ticks: readonly Tick[];
}

/** Midnight of a local day, or the first minute that the day has where the clock skips midnight. */
function startOf(day: string, zone: string): number {
  for (const time of ['00:00', '00:30', '01:00']) {
    const at = fromLocalField(`${day}T${time}`, zone);
    if (at !== null) return at;
  }
  return Date.parse(`${day}T00:00:00Z`);
}

function daysIn(zoom: TimelineZoom, day: string): string[] {
  if (zoom === 'day') return [day];
  if (zoom === 'week') return daysOf('week', day);
  const first = `${day.slice(0, 7)}-01`;
  const length = Math.round((Date.parse(addMonths(first, 1)) - Date.parse(first)) / 86_400_000);
  return Array.from({ length }, (_, n) => shiftDay(first, n));
}

/** The span of a zoom around a local day, and its ticks: every three hours of a day, or each midnight. */
export function spanOf(zoom: TimelineZoom, day: string, zone: string): TimelineSpan {
  const days = daysIn(zoom, day);
  const fromMs = startOf(days[0] ?? day, zone);
  const toMs = startOf(shiftDay(days.at(-1) ?? day, 1), zone);
  const hours = ['03', '06', '09', '12', '15', '18', '21'];
  const marks =
    zoom === 'day'
      ? [fromMs, ...hours.flatMap((hour) => fromLocalField(`${day}T${hour}:00`, zone) ?? [])]
      : days.map((one) => startOf(one, zone));
  return { fromMs, toMs, ticks: marks.map((atMs) => ({ atMs, left: shareOf(atMs, { fromMs, toMs }) })) };
}

/** Where an instant is in a span, percent, kept inside it. */
export function shareOf(atMs: number, { fromMs, toMs }: Pick<TimelineSpan, 'fromMs' | 'toMs'>): number {
  return Math.min(100, Math.max(0, ((atMs - fromMs) / (toMs - fromMs)) * 100));
}

/** The day that a step of the zoom leads to. */
export function stepDay(zoom: TimelineZoom, day: string, direction: -1 | 1): string {
  if (zoom === 'month') return addMonths(day, direction);
  return shiftDay(day, direction * (zoom === 'week' ? 7 : 1));
}

/** Label of a tick: the hour of a day, the day otherwise. */
export function tickLabel(
  atMs: number,
  zoom: TimelineZoom,
  { zone, locale }: { zone: string; locale: string },
): string {
  if (zoom === 'day') return toLocalField(atMs, zone).slice(11);
  const options =
    zoom === 'week' ? ({ weekday: 'short', day: 'numeric' } as const) : ({ day: 'numeric' } as const);
  return new Intl.DateTimeFormat(locale, { timeZone: zone, ...options }).format(atMs);
}
