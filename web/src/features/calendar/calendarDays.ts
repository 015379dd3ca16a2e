import type { Calendar } from '#contract/calendar.ts';

export type CalendarView = 'month' | 'week';
export type CalendarKind = 'freeze' | 'window' | 'run' | 'plan';

/** Something that lies on one or several days. */
export interface CalendarItem {
  readonly kind: CalendarKind;
  readonly key: string;
  readonly title: string;
  readonly note: string | null;
  readonly startsAt: string;
  readonly endsAt: string;
  /** Runs only. */
  readonly state: string | null;
  /** Window, freeze, plan or run. */
  readonly id: string;
  /** Sites concerned; null for every site. */
  readonly siteIds: readonly string[] | null;
  /** A window of which freezes leave nothing. */
  readonly gone: boolean;
}

const dayMs = 86_400_000;
const order: readonly CalendarKind[] = ['freeze', 'window', 'run', 'plan'];

/** A local date so many days on. Local dates are counted as days of UTC: they have no zone of their own. */
export function shiftDay(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * dayMs).toISOString().slice(0, 10);
}

function mondayOf(day: string): string {
  const weekday = (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7;
  return shiftDay(day, -weekday);
}

/** True for a day that the calendar has. */
export function isDay(text: string): boolean {
  const at = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}

/** Days that a view shows, whole weeks from Monday. */
export function daysOf(view: CalendarView, day: string): string[] {
  if (view === 'week') return Array.from({ length: 7 }, (_, n) => shiftDay(mondayOf(day), n));
  const first = mondayOf(`${day.slice(0, 7)}-01`);
  const last = shiftDay(addMonths(`${day.slice(0, 7)}-01`, 1), -1);
  const weeks = Math.ceil((Date.parse(last) - Date.parse(first) + dayMs) / (7 * dayMs));
  return Array.from({ length: weeks * 7 }, (_, n) => shiftDay(first, n));
}

/** The same day of another month, or its last one. */
export function addMonths(day: string, months: number): string {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number);
  const length = new Date(Date.UTC(year, month + months, 0)).getUTCDate();
  return new Date(Date.UTC(year, month - 1 + months, Math.min(date, length))).toISOString().slice(0, 10);
}

/** Where a key leads from a day; null for a key that moves nothing. */
export function moveDay(day: string, key: string): string | null {
  const steps: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };
  const step = steps[key];
  if (step !== undefined) return shiftDay(day, step);
  if (key === 'Home') return mondayOf(day);
  if (key === 'End') return shiftDay(mondayOf(day), 6);
  if (key === 'PageUp') return addMonths(day, -1);
  return key === 'PageDown' ? addMonths(day, 1) : null;
}

/** Instants that hold these days in every zone; the days themselves are sorted out afterwards. */
export function rangeOf(days: readonly string[]): { from: string; to: string } {
  const at = (day: string, days: number): string => `${shiftDay(day, days)}T00:00:00.000Z`;
  return { from: at(days[0] ?? '', -1), to: at(days.at(-1) ?? '', 2) };
}

/** Everything on the calendar as one kind of thing. */
export function itemsOf(calendar: Calendar): CalendarItem[] {
  const plain = { note: null, state: null, gone: false };
  const windows = calendar.windows.map(({ windowId, name, siteId, occurrence }): CalendarItem => ({
    ...plain,
    kind: 'window',
    key: `w${windowId}${occurrence.start.at}`,
    id: windowId,
    title: name,
    startsAt: occurrence.start.at,
    endsAt: occurrence.end.at,
    siteIds: siteId === null ? null : [siteId],
    gone: occurrence.pieces.length === 0,
  }));
  const freezes = calendar.freezes.map(
    ({ freezeId, name, reason, siteId, startsAt, endsAt }): CalendarItem => ({
      ...plain,
      kind: 'freeze',
      key: `f${freezeId}${startsAt}`,
      id: freezeId,
      title: name,
      note: reason === '' ? null : reason,
      startsAt,
      endsAt,
      siteIds: siteId === null ? null : [siteId],
    }),
  );
  const plans = calendar.plans.map(({ planId, title, notBefore, notAfter, siteIds }): CalendarItem => ({
    ...plain,
    kind: 'plan',
    key: `p${planId}`,
    title,
    startsAt: notBefore,
    endsAt: notAfter,
    id: planId,
    siteIds,
  }));
  const runs = calendar.runs.map(
    ({ runId, number, title, state, startsAt, endsAt, siteIds }): CalendarItem => ({
      ...plain,
      kind: 'run',
      key: `r${runId}`,
      title: `${number} · ${title}`,
      startsAt,
      endsAt,
      state,
      id: runId,
      siteIds,
    }),
  );
  return [...freezes, ...windows, ...runs, ...plans].sort(
    (a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || (a.startsAt < b.startsAt ? -1 : 1),
  );
}

/** Items of each day, by the local date that `dayOf` gives an instant. An end at midnight belongs to the day before. */
export function byDay(
  items: readonly CalendarItem[],
  days: readonly string[],
  dayOf: (instantMs: number) => string,
): Map<string, CalendarItem[]> {
  const found = new Map<string, CalendarItem[]>(days.map((day) => [day, []]));
  for (const item of items) {
    const startMs = Date.parse(item.startsAt);
    const first = dayOf(startMs);
    const last = dayOf(Math.max(startMs, Date.parse(item.endsAt) - 1));
    for (const day of days) if (day >= first && day <= last) found.get(day)?.push(item);
  }
  return found;
}
