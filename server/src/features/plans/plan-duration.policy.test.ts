import { describe, expect, it } from 'vitest';
import type { PlanHost } from '#contract/plans.ts';
import { planDuration } from './plan-duration.policy.ts';

function host(wave: number | null, low: number | null, high = low ?? 0): PlanHost {
  return {
    hostId: '',
    hostname: 'web-1',
    siteName: 'Paris',
    agentId: null,
    included: wave !== null,
    decision: { code: 'included', values: {} },
    wave,
    order: 0,
    rollbackTier: 1,
    packages: [],
    updates: [],
    downloadBytes: 0,
    restart: 'no',
    checks: [],
    expectedSeconds: low === null ? null : { low, high, basis: 'host_history' },
  };
}

describe('the expected time of a plan', () => {
  it('adds the slowest host of each wave and the pauses between them', () => {
    const hosts = [host(1, 60, 90), host(2, 100, 200), host(2, 120, 150), host(null, 9999)];
    expect(planDuration(hosts, 30)).toEqual({
      lowMs: 210_000,
      highMs: 320_000,
      lastStartLowMs: 90_000,
      lastStartHighMs: 120_000,
    });
  });

  it('is not known when a host has no history, or nothing would be done', () => {
    expect(planDuration([host(1, 60), host(1, null)], 30)).toBeNull();
    expect(planDuration([host(null, 60)], 30)).toBeNull();
  });
});
