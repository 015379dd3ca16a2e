import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  changesOf,
  dayOf,
  longestRetention,
  periodOf,
  rings,
  slotOf,
  type OpenSlot,
  type Retention,
  type RingName,
} from './rings.policy.ts';

const dayMs = 86_400_000;
const names = Object.keys(rings) as RingName[];
const retention = fc.record({
  samples: fc.integer({ min: 2, max: longestRetention('samples') }),
  hours: fc.integer({ min: 7, max: longestRetention('hours') }),
  days: fc.integer({ min: 366, max: longestRetention('days') }),
});

/** Slots after the changes. */
function turn(
  open: readonly OpenSlot[],
  when: { nowMs: number; retention: Retention; unpackedDay: number },
): OpenSlot[] {
  const slots = new Map(open.map((one) => [`${one.ring} ${one.slot}`, one]));
  for (const { ring, slot, from, to } of changesOf(open, when)) {
    const key = `${ring} ${slot}`;
    expect(slots.get(key)?.period ?? null).toBe(from);
    slots.delete(key);
    if (to !== null) slots.set(key, { ring, slot, period: to });
  }
  return [...slots.values()];
}

describe('the rings of partitions', () => {
  it('have an open place for every day that is kept, for today and for tomorrow, at any time and for any retention', () => {
    fc.assert(
      fc.property(fc.integer({ min: 20_000, max: 40_000 }), retention, (today, kept) => {
        const when = { nowMs: today * dayMs + 1, retention: kept, unpackedDay: today };
        const open = turn([], when);
        for (const ring of names) {
          for (const day of [today - kept[ring], today - 1, today, today + 1]) {
            const place = open.find((one) => one.ring === ring && one.slot === slotOf(ring, day));
            expect([ring, day, place?.period]).toEqual([ring, day, periodOf(ring, day)]);
          }
        }
        expect(changesOf(open, when)).toEqual([]);
      }),
    );
  });

  it('give up nothing that is still kept while days go by, and nothing twice', () => {
    const kept = { samples: 2, hours: 90, days: 1826 };
    let open: OpenSlot[] = [];
    for (let today = 20_000; today < 24_000; today += 1) {
      const when = { nowMs: today * dayMs, retention: kept, unpackedDay: today };
      for (const { ring, from, to } of changesOf(open, when)) {
        if (from !== null) expect(from).toBeLessThan(periodOf(ring, today - kept[ring]));
        if (to !== null) expect(to).toBeGreaterThanOrEqual(periodOf(ring, today - kept[ring]));
      }
      open = turn(open, when);
    }
    const raw = open.filter(({ ring }) => ring === 'samples').map(({ period }) => period);
    expect(raw.sort((a, b) => a - b)).toEqual([23_997, 23_998, 23_999, 24_000]);
  });

  it('keep raw samples that are not packed yet, whatever their age', () => {
    const kept = { samples: 2, hours: 90, days: 1826 };
    const open = turn([], { nowMs: 20_000 * dayMs, retention: kept, unpackedDay: 20_000 });
    const later = { nowMs: 20_005 * dayMs, retention: kept };
    const lost = (unpackedDay: number) =>
      changesOf(open, { ...later, unpackedDay })
        .filter(({ ring, from }) => ring === 'samples' && from !== null)
        .map(({ from }) => from);
    expect(lost(20_000)).not.toContain(20_000);
    expect(lost(20_005)).toEqual(expect.arrayContaining([19_998, 19_999, 20_000, 20_001]));
  });

  it('tell the day of an instant in UTC', () => {
    expect(dayOf(Date.parse('1970-01-02T00:00:00.000Z'))).toBe(1);
  });
});
