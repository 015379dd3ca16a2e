import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultQuarantineRule as rule } from '#contract/quarantine.ts';
import { mustQuarantine } from './quarantine.policy.ts';

const tried = (tries: number, failedTries: number, failedHosts = failedTries) => ({
  ...{ tries, failedTries, failedHosts },
});

describe('an update', () => {
  it('goes into quarantine when it failed on two hosts, however often it went well', () => {
    expect(mustQuarantine(tried(100, 2), rule)).toBe(true);
    expect(mustQuarantine(tried(100, 1), rule)).toBe(false);
  });

  it('goes into quarantine at a fifth of its tries, once there are five', () => {
    expect(mustQuarantine(tried(5, 1), rule)).toBe(true);
    expect(mustQuarantine(tried(6, 1), rule)).toBe(false);
    expect(mustQuarantine(tried(1, 1), rule)).toBe(false);
  });

  it('is not judged by one host that fails again and again, before its share counts', () => {
    expect(mustQuarantine(tried(4, 4, 1), rule)).toBe(false);
    expect(mustQuarantine(tried(40, 7, 1), rule)).toBe(false);
  });

  it('never leaves it for one more failure, and never goes into it without any', () => {
    const anyTries = fc.record({ well: fc.nat(50), failed: fc.nat(50) });
    fc.assert(
      fc.property(anyTries, ({ well, failed }) => {
        const now = mustQuarantine(tried(well + failed, failed), rule);
        if (failed === 0) expect(now).toBe(false);
        if (now) expect(mustQuarantine(tried(well + failed + 1, failed + 1), rule)).toBe(true);
      }),
    );
  });
});
