import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { measures, scales } from '#contract/metrics.ts';
import { packCell, packDay, packHour, unpackCell, unpackDay, unpackHour } from './packing.policy.ts';
import { addCells, cellOf, emptyCell, meanOf, rollUp, type Codes } from './tally.policy.ts';

const codes: fc.Arbitrary<Codes> = fc.tuple(
  ...measures.map((measure) => fc.option(fc.integer({ min: 0, max: scales[measure].maxCode }), { freq: 5 })),
);
const hour = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 0, max: 59 }), codes), {
    selector: ([minute]) => minute,
    maxLength: 60,
  })
  .map((entries) => new Map(entries.sort(([a], [b]) => a - b)));

describe('packed measures', () => {
  it('give back every sample of an hour, gaps and unread values included', () => {
    fc.assert(
      fc.property(hour, (samples) => {
        expect(unpackHour(packHour(samples))).toEqual(samples);
      }),
    );
  });

  it('do not depend on the order in which samples came', () => {
    fc.assert(
      fc.property(hour, (samples) => {
        const turned = new Map([...samples].reverse());
        expect(packHour(turned)).toEqual(packHour(samples));
      }),
    );
  });

  it('give back least, mean and greatest value of each hour of a day', () => {
    const day = fc
      .uniqueArray(
        fc.tuple(fc.integer({ min: 0, max: 23 }), fc.array(codes, { minLength: 1, maxLength: 6 })),
        {
          selector: ([place]) => place,
        },
      )
      .map((hours) => new Map(hours.sort(([a], [b]) => a - b).map(([place, of]) => [place, rollUp(of)])));
    const shown = (cell: ReturnType<typeof rollUp>) =>
      cell.map((tally, place) =>
        tally === null
          ? null
          : { min: tally.min, max: tally.max, count: tally.count, mean: meanOf(place, tally) },
      );
    fc.assert(
      fc.property(day, (cells) => {
        const back = unpackDay(packDay(cells));
        expect([...back.keys()]).toEqual([...cells.keys()]);
        for (const [place, cell] of cells) expect(shown(back.get(place) ?? emptyCell)).toEqual(shown(cell));
      }),
    );
    fc.assert(
      fc.property(fc.array(codes, { minLength: 1, maxLength: 20 }), (of) => {
        expect(shown(unpackCell(packCell(rollUp(of))) ?? emptyCell)).toEqual(shown(rollUp(of)));
      }),
    );
  });

  it('refuse bytes of another version, and bytes that end too early', () => {
    const packed = packHour(new Map([[3, measures.map(() => 7)]]));
    expect(() => unpackHour(Buffer.concat([Buffer.from([9]), packed.subarray(1)]))).toThrow(/version/);
    expect(() => unpackHour(packed.subarray(0, packed.length - 1))).toThrow(/too early/);
  });
});

describe('a roll-up', () => {
  it('of two halves is that of the whole, however it was divided', () => {
    fc.assert(
      fc.property(fc.array(codes, { maxLength: 60 }), fc.nat(60), (samples, cut) => {
        const halves = [samples.slice(0, cut), samples.slice(cut)].map(rollUp);
        expect(halves.reduce(addCells, emptyCell)).toEqual(rollUp(samples));
        expect([...halves].reverse().reduce(addCells, emptyCell)).toEqual(rollUp(samples));
      }),
    );
  });

  it('has its mean between least and greatest, of real bytes where the scale is logarithmic', () => {
    fc.assert(
      fc.property(fc.array(codes, { minLength: 1, maxLength: 20 }), (samples) => {
        for (const [place, tally] of rollUp(samples).entries()) {
          if (tally === null) continue;
          expect(meanOf(place, tally)).toBeGreaterThanOrEqual(tally.min);
          expect(meanOf(place, tally)).toBeLessThanOrEqual(tally.max);
        }
      }),
    );
    const disk = measures.indexOf('diskThroughput');
    const at = (kBps: number): Codes => measures.map(() => scales.diskThroughput.toCode(kBps));
    const tally = rollUp([at(0), at(1000)])[disk];
    expect(
      scales.diskThroughput.fromCode(meanOf(disk, tally ?? { count: 1, min: 0, max: 0, sum: 0 })),
    ).toBeCloseTo(500, -1);
  });

  it('keeps a measure that was read among samples in which it was not', () => {
    const [none, one] = [measures.map(() => null), measures.map(() => 5)];
    expect(rollUp([none, one, none])).toEqual(cellOf(one));
  });
});

describe('a code', () => {
  it('is within its limits and comes back from its value', () => {
    for (const measure of measures) {
      const { maxCode, fromCode, toCode } = scales[measure];
      fc.assert(
        fc.property(fc.integer({ min: 0, max: maxCode }), (code) => {
          expect(toCode(fromCode(code))).toBe(code);
        }),
      );
      expect([toCode(-1), toCode(1e30)]).toEqual([0, maxCode]);
    }
  });
});
