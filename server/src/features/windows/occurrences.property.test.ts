import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toLocal } from './localTime.policy.ts';
import { judgeSchedule, nextOccurrences, occurrencesBetween, type Schedule } from './occurrences.policy.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
const zones = [
  'Europe/Paris',
  'America/Guadeloupe',
  'Indian/Reunion',
  'Pacific/Noumea',
  'America/Miquelon',
  'America/Cayenne',
  'Pacific/Tahiti',
  // Half an hour of summer time.
  'Australia/Lord_Howe',
];
const days = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'] as const;
const first = Temporal.PlainDate.from('2026-01-01');
const last = Temporal.PlainDate.from('2046-01-01');
const fromMs = Date.parse('2026-01-01T00:00Z') - dayMs;
const toMs = Date.parse('2046-01-01T00:00Z') + 2 * dayMs;

interface Pattern {
  readonly rule: string;
  /** Says of a day of the calendar whether the rule means it; knows nothing of the library. */
  readonly means: (day: Temporal.PlainDate, start: Temporal.PlainDate) => boolean;
}

const weekday = (day: Temporal.PlainDate): string => days[day.dayOfWeek - 1] ?? '';
const weekOf = (day: Temporal.PlainDate): number => Math.floor((Date.parse(day.toString()) / dayMs + 3) / 7);
const monthOf = (day: Temporal.PlainDate): number => day.year * 12 + day.month;

const daily = fc.integer({ min: 1, max: 9 }).map((interval): Pattern => ({
  rule: `FREQ=DAILY;INTERVAL=${interval}`,
  means: (day, start) => start.until(day).days % interval === 0,
}));
const weekly = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.subarray([...days], { minLength: 1 }))
  .map(([interval, on]): Pattern => ({
    rule: `FREQ=WEEKLY;INTERVAL=${interval};BYDAY=${on.join(',')}`,
    means: (day, start) =>
      (on as string[]).includes(weekday(day)) && (weekOf(day) - weekOf(start)) % interval === 0,
  }));
const nthWeekday = fc
  .tuple(fc.constantFrom(1, 2, 3, 4, -1), fc.constantFrom(...days), fc.integer({ min: 1, max: 4 }))
  .map(([nth, on, interval]): Pattern => ({
    rule: `FREQ=MONTHLY;INTERVAL=${interval};BYDAY=${nth}${on}`,
    means: (day, start) => {
      const place = nth > 0 ? Math.ceil(day.day / 7) : -Math.ceil((day.daysInMonth - day.day + 1) / 7);
      return weekday(day) === on && place === nth && (monthOf(day) - monthOf(start)) % interval === 0;
    },
  }));
const monthDay = fc.constantFrom(1, 15, 28, 29, 30, 31, -1).map((on): Pattern => ({
  rule: `FREQ=MONTHLY;BYMONTHDAY=${on}`,
  means: (day) => day.day === (on > 0 ? on : day.daysInMonth),
}));
const lastWorkday = fc.constant<Pattern>({
  rule: 'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
  means: (day) => {
    const end = day.with({ day: day.daysInMonth });
    return day.equals(end.subtract({ days: Math.max(0, end.dayOfWeek - 5) }));
  },
});
const yearly = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([month, on]): Pattern => ({
    rule: `FREQ=YEARLY;BYMONTH=${month};BYMONTHDAY=${on}`,
    means: (day) => day.month === month && day.day === on,
  }));
const patterns = fc.oneof(daily, weekly, nthWeekday, monthDay, lastWorkday, yearly);

/** Times of day among which those that some night skips or repeats are frequent. */
const times = fc
  .oneof(
    fc.tuple(fc.constantFrom(0, 1, 2, 3), fc.integer({ min: 0, max: 59 })),
    fc.tuple(fc.integer({ min: 0, max: 23 }), fc.constantFrom(0, 30)),
  )
  .map(([hour, minute]) => `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`);

const cases = fc.record({
  zone: fc.constantFrom(...zones),
  pattern: patterns,
  time: times,
  durationMinutes: fc.integer({ min: 15, max: 1440 }),
});

function scheduleOf({
  zone,
  pattern,
  time,
  durationMinutes,
}: {
  zone: string;
  pattern: Pattern;
  time: string;
  durationMinutes: number;
}): Schedule {
  return { timeZone: zone, startsOn: first.toString(), startTime: time, rule: pattern.rule, durationMinutes };
}

const formats = new Map<string, Intl.DateTimeFormat>();
/** What a clock on the wall shows, in minutes of a calendar without zones. Asks Intl, not what is tested. */
function wall(zone: string, ms: number): number {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' });
    formats.set(zone, format);
  }
  return Date.parse(`${format.format(ms).replace(' ', 'T')}Z`) / minuteMs;
}

/** The first instant at which the clock on the wall shows at least this time. */
function firstInstant(zone: string, local: number): number {
  const guess = local * minuteMs;
  const shown = wall(zone, guess);
  // Offsets around this instant, seen a day to either side: a change lies between them or there is none.
  for (const probe of [guess - dayMs, guess, guess + dayMs]) {
    const offset = wall(zone, probe) * minuteMs - probe;
    const at = guess - offset;
    if (wall(zone, at) >= local && wall(zone, at - minuteMs) < local) return at;
  }
  // Clocks are changed at a quarter of an hour.
  const quarter = 15 * minuteMs;
  for (let at = Math.floor((guess - dayMs) / quarter) * quarter; at <= guess + dayMs; at += quarter)
    if (wall(zone, at) >= local && wall(zone, at - minuteMs) < local) return at;
  throw new Error(`no clock in ${zone} shows ${local} (${shown})`);
}

/** The same years, walked day by day with the calendar alone. */
function walk(schedule: Schedule, pattern: Pattern): number[] {
  const [hour = 0, minute = 0] = schedule.startTime.split(':').map(Number);
  const starts: number[] = [];
  for (let day = first; Temporal.PlainDate.compare(day, last) < 0; day = day.add({ days: 1 })) {
    if (!pattern.means(day, first)) continue;
    const local = Date.parse(day.toString()) / minuteMs + hour * 60 + minute;
    starts.push(firstInstant(schedule.timeZone, local));
  }
  return starts;
}

const runs = { numRuns: 25 };

describe('occurrences over twenty years', () => {
  it(
    'are those of a calendar that is walked day by day: none is lost, none is doubled',
    { timeout: 120_000 },
    () => {
      fc.assert(
        fc.property(cases, (one) => {
          const schedule = scheduleOf(one);
          const end = Date.parse(last.toString());
          const starts = occurrencesBetween(schedule, fromMs, toMs)
            .map(({ startMs }) => startMs)
            .filter((startMs) => wall(one.zone, startMs) * minuteMs < end);
          expect(starts).toEqual(walk(schedule, one.pattern));
        }),
        runs,
      );
    },
  );

  it('follow one another strictly, start at the local time or when the clock reaches it, and end after they start', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const spans = occurrencesBetween(scheduleOf(one), fromMs, toMs);
        for (const [n, { startMs, endMs, startNote }] of spans.entries()) {
          expect(startMs).toBeGreaterThan(spans[n - 1]?.startMs ?? Number.NEGATIVE_INFINITY);
          expect(endMs).toBeGreaterThan(startMs);
          const local = toLocal(startMs, one.zone).slice(11, 16);
          if (startNote === 'skipped') expect(local > one.time).toBe(true);
          else expect(local).toBe(one.time);
        }
      }),
      runs,
    );
  });

  it('last as long as the wall clock says, the change of the clock added or taken', () => {
    fc.assert(
      fc.property(cases, (one) => {
        for (const { startMs, endMs, startNote, endNote } of occurrencesBetween(
          scheduleOf(one),
          fromMs,
          toMs,
        )) {
          if (startNote !== null || endNote !== null) continue;
          expect(wall(one.zone, endMs) - wall(one.zone, startMs)).toBe(one.durationMinutes);
        }
      }),
      runs,
    );
  });

  it('never overlap one another when the schedule was accepted', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const schedule = scheduleOf(one);
        fc.pre(judgeSchedule(schedule) === null);
        const spans = occurrencesBetween(schedule, fromMs, toMs);
        for (const [n, { startMs }] of spans.entries())
          expect(startMs).toBeGreaterThanOrEqual(spans[n - 1]?.endMs ?? 0);
      }),
      runs,
    );
  });

  it('are the same whether asked for by years or one after another', () => {
    fc.assert(
      fc.property(cases, fc.integer({ min: 0, max: 15 * 365 }), (one, after) => {
        const schedule = scheduleOf(one);
        const afterMs = Date.parse(first.toString()) + after * dayMs;
        const five = nextOccurrences(schedule, afterMs, 5);
        const all = occurrencesBetween(schedule, afterMs, afterMs + 10 * 366 * dayMs);
        expect(five).toEqual(all.slice(0, 5));
      }),
      runs,
    );
  });
});

describe('a night on which the clock changes', () => {
  const night = (startTime: string, durationMinutes: number, day: string) => {
    const schedule: Schedule = {
      timeZone: 'Europe/Paris',
      startsOn: '2026-01-01',
      startTime,
      rule: 'FREQ=DAILY',
      durationMinutes,
    };
    const found = nextOccurrences(schedule, Date.parse(`${day}T00:00Z`), 9).find(({ startMs }) =>
      toLocal(startMs, 'Europe/Paris').startsWith(day),
    );
    if (found === undefined) throw new Error('no occurrence that night');
    const { startMs, endMs, startNote } = found;
    return [toLocal(startMs, 'Europe/Paris'), toLocal(endMs, 'Europe/Paris'), startNote];
  };

  it('in spring: a start that does not exist is at the change, and the end stays on the wall clock', () => {
    expect(night('02:30', 120, '2027-03-28')).toEqual([
      '2027-03-28T03:00+02:00',
      '2027-03-28T04:30+02:00',
      'skipped',
    ]);
    expect(night('01:00', 240, '2027-03-28')).toEqual([
      '2027-03-28T01:00+01:00',
      '2027-03-28T05:00+02:00',
      null,
    ]);
  });

  it('in spring: a span that lies wholly in the skipped hour keeps its length', () => {
    expect(night('02:10', 30, '2027-03-28')).toEqual([
      '2027-03-28T03:00+02:00',
      '2027-03-28T03:30+02:00',
      'skipped',
    ]);
  });

  it('in autumn: the first of two equal times counts, at the start and at the end', () => {
    expect(night('02:30', 60, '2026-10-25')).toEqual([
      '2026-10-25T02:30+02:00',
      '2026-10-25T03:30+01:00',
      'repeated',
    ]);
    expect(night('01:00', 90, '2026-10-25')).toEqual([
      '2026-10-25T01:00+02:00',
      '2026-10-25T02:30+02:00',
      null,
    ]);
  });
});
