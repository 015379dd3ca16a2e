import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bandPath, latestOf, linePath, niceTop, runsOf, type Points } from './chart.ts';

const plane = { width: 600, height: 100, top: 10 };
const flat = (values: (number | null)[]): Points => ({ min: values, avg: values, max: values });

describe('a chart', () => {
  it('draws nothing where nothing was measured', () => {
    expect(runsOf([null, 1, 2, null, null, 3, null])).toEqual([
      [1, 3],
      [5, 6],
    ]);
    expect(linePath(flat([null, null]), plane)).toBe('');
    expect(linePath(flat([1, null, 1]), plane).match(/M/g)).toHaveLength(2);
    expect(bandPath(flat([1, null, 1]), plane).match(/Z/g)).toHaveLength(2);
  });

  it('shows a step that stands alone as wide as it lasted', () => {
    expect(linePath(flat([null, 5, null]), plane)).toBe('M200 50L300 50L400 50');
  });

  it('stays inside its plane, whatever the values', () => {
    const value = fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 50 }), (values) => {
        const numbers = [...linePath(flat(values), plane).matchAll(/([\d.]+) ([\d.]+)/g)];
        for (const [, x, y] of numbers) {
          expect(Number(x)).toBeLessThanOrEqual(plane.width);
          expect(Number(y)).toBeLessThanOrEqual(plane.height);
          expect(Number(y)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  it('ends at a round number that is not below any value', () => {
    expect([niceTop([0.3, null], 1), niceTop([3], 1), niceTop([51], 1), niceTop([1200], 1)]).toEqual([
      1, 5, 100, 2000,
    ]);
  });

  it('says the last value that was measured', () => {
    expect([latestOf([1, 0, null]), latestOf([null])]).toEqual([0, null]);
  });
});
