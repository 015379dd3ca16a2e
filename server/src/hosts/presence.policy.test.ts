import { describe, expect, it } from 'vitest';
import { surplusOf } from './presence.policy.ts';

const nodes = (...connections: number[]) =>
  connections.map((count, index) => ({
    id: String(index),
    agentsUrl: `wss://n${index}/link`,
    connections: count,
  }));

describe('agents spread over nodes', () => {
  it('stay where they are when there is one node, or when nobody knows it', () => {
    expect(surplusOf(nodes(1000), '0')).toBe(0);
    expect(surplusOf(nodes(1000, 0), 'unknown')).toBe(0);
    expect(surplusOf([], '0')).toBe(0);
  });

  it('move a few at a time from the node that has too many', () => {
    expect(surplusOf(nodes(1000, 0), '0')).toBe(100);
    expect(surplusOf(nodes(1000, 0), '1')).toBe(0);
  });

  it('are left alone when the difference is small', () => {
    expect(surplusOf(nodes(10, 2), '0')).toBe(0);
    expect(surplusOf(nodes(110, 90), '0')).toBe(0);
  });

  it('come to rest from any beginning', () => {
    for (const start of [
      [900, 0, 0],
      [50, 50, 500],
      [13, 1],
      [7, 0, 0, 0],
    ]) {
      const counts = [...start];
      let moved = 0;
      for (let turn = 0; turn < 200; turn += 1) {
        const surplus = counts.map((_count, index) => surplusOf(nodes(...counts), String(index)));
        const total = surplus.reduce((sum, one) => sum + one, 0);
        if (total === 0) break;
        moved += total;
        // The worst that agents may do: all of them go to the node that has fewest.
        surplus.forEach((one, index) => (counts[index] = (counts[index] ?? 0) - one));
        const fewest = counts.indexOf(Math.min(...counts));
        counts[fewest] = (counts[fewest] ?? 0) + total;
      }
      expect(counts.map((_count, index) => surplusOf(nodes(...counts), String(index)))).toEqual(
        counts.map(() => 0),
      );
      expect(moved).toBeLessThanOrEqual(2 * start.reduce((sum, one) => sum + one, 0));
    }
  });
});
