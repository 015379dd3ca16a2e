import { describe, expect, it } from 'vitest';
import { Turns } from './commands.turns.ts';

/** Takes until nothing is left; how the tenants stand in each flush. */
function flushes(turns: Turns<string>, limit: number): string[][] {
  const all: string[][] = [];
  while (turns.weight > 0) all.push(turns.take(limit));
  return all;
}

const of = (flush: readonly string[], tenant: string) => flush.filter((item) => item === tenant).length;

describe('tenants that take turns', () => {
  it('lets a quiet tenant ride in the next flush, however much of another one waits before it', () => {
    const turns = new Turns<string>();
    for (let n = 0; n < 10_000; n += 1) turns.push('loud', 'loud');
    turns.push('quiet', 'quiet');
    const [first = []] = flushes(turns, 2_000);
    expect(first.length).toBe(2_000);
    expect(of(first, 'quiet')).toBe(1);
  });

  it('gives tenants that both have much to say the same share of each flush, by weight', () => {
    const turns = new Turns<string>();
    for (let n = 0; n < 100; n += 1) turns.push('heavy', 'heavy', 200);
    for (let n = 0; n < 20_000; n += 1) turns.push('light', 'light');
    const [first = [], second = []] = flushes(turns, 4_000);
    for (const flush of [first, second]) {
      expect(of(flush, 'heavy') * 200).toBeGreaterThanOrEqual(1_800);
      expect(of(flush, 'heavy') * 200).toBeLessThanOrEqual(2_200);
      expect(of(flush, 'light')).toBeGreaterThanOrEqual(1_800);
    }
  });

  it('takes everything once, in the order of arrival of each tenant', () => {
    const turns = new Turns<number>();
    for (let n = 0; n < 3_000; n += 1) turns.push(`tenant-${n % 3}`, n, 1 + (n % 7));
    const taken: number[] = [];
    while (turns.weight > 0) taken.push(...turns.take(500));
    expect(taken.length).toBe(3_000);
    for (const tenant of [0, 1, 2]) {
      const own = taken.filter((n) => n % 3 === tenant);
      expect(own).toEqual([...own].sort((a, b) => a - b));
    }
    expect(turns.weightOf('tenant-0')).toBe(0);
  });
});
