import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toLocalField } from '../plans/windowTimes.ts';
import { addMonths, byDay, daysOf, isDay, moveDay, rangeOf, type CalendarItem } from './calendarDays.ts';

const anyDay = fc
  .integer({ min: Date.parse('2024-01-01'), max: Date.parse('2046-01-01') })
  .map((ms) => new Date(ms).toISOString().slice(0, 10));

function item(startsAt: string, endsAt: string): CalendarItem {
  const rest = { note: null, state: null, id: 'w', gone: false, siteIds: null };
  return { kind: 'window', key: startsAt, title: 'Nuit', startsAt, endsAt, ...rest };
}

describe('the days of a view', () => {
  it('are whole weeks from Monday that hold the day, and all days of its month', () => {
    fc.assert(
      fc.property(anyDay, (day) => {
        const month = daysOf('month', day);
        expect(month.length % 7).toBe(0);
        expect(new Date(month[0] ?? '').getUTCDay()).toBe(1);
        const own = month.filter((one) => one.startsWith(day.slice(0, 7)));
        expect(own).toHaveLength(
          new Date(Date.UTC(Number(day.slice(0, 4)), Number(day.slice(5, 7)), 0)).getUTCDate(),
        );
        expect(daysOf('week', day)).toContain(day);
        expect(new Set(month).size).toBe(month.length);
      }),
    );
  });

  it('never ask the server for more than it answers, and for all of them in every zone', () => {
    fc.assert(
      fc.property(anyDay, (day) => {
        const days = daysOf('month', day);
        const { from, to } = rangeOf(days);
        expect(Date.parse(to) - Date.parse(from)).toBeLessThanOrEqual(62 * 86_400_000);
        expect(toLocalField(Date.parse(from), 'Pacific/Kiritimati') < `${days[0] ?? ''}T00:00`).toBe(true);
        expect(toLocalField(Date.parse(to), 'Pacific/Pago_Pago') > `${days.at(-1) ?? ''}T23:59`).toBe(true);
      }),
    );
  });
});

describe('keys on a day', () => {
  it('move by days, weeks and months, and other keys move nothing', () => {
    const moved = ['ArrowLeft', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown', 'x'].map((key) =>
      moveDay('2026-12-31', key),
    );
    expect(moved).toEqual([
      '2026-12-30',
      '2027-01-07',
      '2026-12-28',
      '2027-01-03',
      '2026-11-30',
      '2027-01-31',
      null,
    ]);
    expect(addMonths('2027-01-31', 1)).toBe('2027-02-28');
  });

  it('know a day from what is none', () => {
    expect(['2026-02-28', '2026-02-29', '2026-2-1', 'x'].map(isDay)).toEqual([true, false, false, false]);
  });
});

describe('items on days', () => {
  it('lie on every local day that they touch, and an end at midnight touches no new one', () => {
    const zone = 'Europe/Paris';
    const dayOf = (ms: number): string => toLocalField(ms, zone).slice(0, 10);
    const night = item('2026-11-21T19:00:00.000Z', '2026-11-22T11:00:00.000Z');
    const evening = item('2026-11-21T20:00:00.000Z', '2026-11-21T23:00:00.000Z');
    const days = byDay([night, evening], daysOf('week', '2026-11-21'), dayOf);
    expect(days.get('2026-11-20')).toEqual([]);
    expect(days.get('2026-11-21')).toEqual([night, evening]);
    expect(days.get('2026-11-22')).toEqual([night]);
  });
});
