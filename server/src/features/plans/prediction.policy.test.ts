import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlanHost } from '#contract/plans.ts';
import { orderSteps, type OrderStep } from '#contract/trust.ts';
import { historyOf, predictHost, predictPlan, type History, type PastRun } from './prediction.policy.ts';

const limits = Object.fromEntries(orderSteps.map((step) => [step, 1000])) as Record<OrderStep, number>;

function host(hostId: string, wave = 1, change: Partial<PlanHost> = {}): PlanHost & { wave: number } {
  return {
    hostId,
    hostname: hostId,
    siteName: 'Paris',
    agentId: null,
    included: true,
    decision: { code: 'included', values: {} },
    order: 0,
    rollbackTier: 1,
    packages: [],
    updates: [],
    downloadBytes: 0,
    restart: 'if_required',
    checks: [],
    expectedSeconds: null,
    ...change,
    wave,
  };
}

let made = 0;

/** A run whose installation took so long, every other step a second. */
function past(hostId: string, installS: number, change: Partial<PastRun> = {}): PastRun {
  made += 1;
  const seconds = { preflight: 1, guard: 1, download: 1, install: installS, verify: 1, commit: 1 };
  return { hostRunId: `run ${made}`, hostId, hostClass: null, seconds, ...change };
}

const knowing = (...runs: PastRun[]): History => historyOf({ runs, classes: new Map(), limits });

describe('what to expect of a host', () => {
  it('comes from its own runs: half took less than the one figure, nineteen of twenty less than the other', () => {
    const runs = Array.from({ length: 20 }, (_, n) => past('web', n + 1));
    const { expected } = predictHost(host('web'), knowing(...runs, past('db', 9999)));
    expect(expected).toMatchObject({ low: 15, high: 24, basis: 'host_history', runs: 20 });
    expect(expected.steps).toContainEqual({ step: 'install', low: 10, high: 19 });
    expect(expected.steps?.map(({ step }) => step)).not.toContain('rollback');
  });

  it('counts what taking the work away and bringing it back may take, where the plan does so', () => {
    const history = knowing(past('web', 10), past('web', 10), past('web', 10));
    const plain = predictHost(host('web'), history).expected;
    expect(plain.steps?.map(({ step }) => step)).not.toContain('drain');
    const drained = predictHost(host('web'), { ...history, drainS: 50 }).expected;
    expect(drained.high).toBe(plain.high + 100);
    const unknown = predictHost(host('web'), { ...knowing(), drainS: 50 }).expected;
    expect(unknown.high).toBe(predictHost(host('web'), knowing()).expected.high + 100);
  });

  it('comes from hosts of its kind, then from the fleet, when its own runs are too few', () => {
    const kind = Array.from({ length: 5 }, (_, n) => past(`twin-${n}`, 50, { hostClass: 'Debian 12' }));
    const history = knowing(past('web', 7), past('web', 7), past('odd', 500), ...kind);
    const of = (hostClass: string) =>
      predictHost(host('web'), { ...history, classes: new Map([['web', hostClass]]) }).expected;
    expect(of('Debian 12')).toMatchObject({ basis: 'class_history', runs: 5, low: 55 });
    expect(of('Debian 13')).toMatchObject({ basis: 'fleet_history', runs: 8 });
  });

  it('is the limit of every step where nothing is known, and says so', () => {
    const { expected } = predictHost(host('web'), knowing());
    expect(expected).toMatchObject({ low: 7000, high: 7000, basis: 'allowances', runs: 0 });
  });

  it('counts only the steps that the plan has, and a restart that it gives for certain', () => {
    const restarted = past('web', 10, { seconds: { install: 10, restart: 60, verify: 1 } });
    const history = knowing(restarted, past('web', 10), past('web', 10));
    const never = predictHost(host('web', 1, { restart: 'no', rollbackTier: 0 }), history);
    expect(never.samples.map(({ totalS }) => totalS)).toEqual([11, 14, 14]);
    const always = predictHost(host('web', 1, { restart: 'yes' }), history);
    expect(always.samples.map(({ totalS }) => totalS)).toEqual([71, 75, 75]);
    // The restart is the last change; without one it is the installation.
    expect(always.samples.map(({ changeS }) => changeS)).toEqual([10, 13, 13]);
    expect(never.samples.map(({ changeS }) => changeS)).toEqual([0, 2, 2]);
  });
});

/** Predictions of hosts by wave, from the same history. */
function plan(waves: readonly number[], history: History, pauseS = 30) {
  return predictPlan(
    waves.map((wave, n) => predictHost(host(`host-${n}`, wave), history)),
    pauseS,
  );
}

describe('what to expect of a plan', () => {
  it('lasts as long as the slowest of each wave and the pauses between them', () => {
    const history = knowing(...[10, 10, 10].map((seconds) => past('any', seconds)));
    expect(plan([1, 2, 2], history)).toEqual({
      lowMs: 60_000,
      highMs: 60_000,
      lastStartLowMs: 45_000,
      lastStartHighMs: 45_000,
      lastChangeLowMs: 48_000,
      lastChangeHighMs: 48_000,
      runs: 3,
      hostsOnLimits: 0,
    });
  });

  it('expects one of many hosts to be slow, though each of them seldom is', () => {
    const runs = Array.from({ length: 20 }, (_, n) => past('any', n < 19 ? 10 : 1000));
    expect(plan([1], knowing(...runs))).toMatchObject({ lowMs: 15_000, highMs: 15_000 });
    const many = Array.from({ length: 20 }, () => 1);
    expect(plan(many, knowing(...runs))).toMatchObject({ lowMs: 1_005_000, highMs: 1_005_000 });
  });

  it('is nothing when nothing is to be done, and counts hosts of which nothing is known', () => {
    expect(predictPlan([], 30)).toBeNull();
    expect(plan([1, 1], knowing())).toMatchObject({ runs: 0, hostsOnLimits: 2 });
  });
});

const anyRuns = fc
  .array(fc.record({ of: fc.integer({ min: 0, max: 5 }), seconds: fc.integer({ min: 1, max: 5000 }) }), {
    maxLength: 40,
  })
  .map((runs) => runs.map(({ of, seconds }) => past(`host-${of}`, seconds)));
const anyWaves = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 12 });

describe('any prediction', () => {
  it('is never shorter for more hosts, for a longer pause or for more certainty', () => {
    fc.assert(
      fc.property(anyRuns, anyWaves, fc.nat(600), (runs, waves, pauseS) => {
        const history = knowing(...runs);
        const whole = plan(waves, history, pauseS);
        const fewer = plan(waves.slice(0, -1), history, pauseS);
        const longer = plan(waves, history, pauseS + 60);
        if (whole === null || longer === null) throw new Error('a plan with hosts has a prediction');
        expect(whole.highMs).toBeGreaterThanOrEqual(whole.lowMs);
        expect(whole.lowMs).toBeGreaterThanOrEqual(fewer?.lowMs ?? 0);
        expect(whole.highMs).toBeGreaterThanOrEqual(fewer?.highMs ?? 0);
        expect(longer.highMs).toBeGreaterThanOrEqual(whole.highMs);
        expect(whole.lastStartHighMs).toBeLessThanOrEqual(whole.lastChangeHighMs);
        expect(whole.lastChangeHighMs).toBeLessThanOrEqual(whole.highMs);
      }),
    );
  });

  it('is never shorter when every run of the past took longer', () => {
    fc.assert(
      fc.property(anyRuns, anyWaves, (runs, waves) => {
        const slower = runs.map((run) => ({
          ...run,
          seconds: { ...run.seconds, install: (run.seconds.install ?? 0) + 100 },
        }));
        const [before, after] = [plan(waves, knowing(...runs)), plan(waves, knowing(...slower))];
        expect(after?.lowMs).toBeGreaterThanOrEqual(before?.lowMs ?? 0);
        expect(after?.highMs).toBeGreaterThanOrEqual(before?.highMs ?? 0);
      }),
    );
  });

  it('of a host never rests on fewer than no run, and has as many ways as it has runs', () => {
    fc.assert(
      fc.property(anyRuns, fc.integer({ min: 0, max: 7 }), (runs, of) => {
        const { expected, samples } = predictHost(host(`host-${of}`), knowing(...runs));
        expect(expected.high).toBeGreaterThanOrEqual(expected.low);
        expect(samples.length).toBe(Math.max(1, expected.runs ?? 0));
      }),
    );
  });
});
