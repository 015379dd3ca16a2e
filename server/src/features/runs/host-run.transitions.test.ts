import { describe, expect, it } from 'vitest';
import { hostRunTransitions } from '#contract/run-transitions.ts';
import { hostRunStates } from '#contract/runs.ts';
import { orderSteps, type OrderStep } from '#contract/trust.ts';
import { clocksOf } from './host-run.clocks.ts';
import {
  plannedHostRun,
  type HostRun,
  type HostRunEvent,
  type StepResult,
  type Terms,
} from './host-run.model.ts';
import { decide } from './host-run.policy.ts';

const t0 = Date.parse('2026-11-21T20:00:00.000Z');
const minute = 60_000;

const undrainedSteps = orderSteps.filter((step) => step !== 'drain' && step !== 'undrain');

const firmTerms: Terms = {
  steps: orderSteps,
  restart: 'if_required',
  rollbackTier: 1,
  notAfterMs: t0 + 240 * minute,
  reserveMs: 10 * minute,
  strictEnd: true,
  silenceMs: 45_000,
};
const looseTerms: Terms = {
  ...firmTerms,
  steps: undrainedSteps.filter((step) => step !== 'restart' && step !== 'rollback'),
  restart: 'never',
  rollbackTier: 0,
  strictEnd: false,
  notAfterMs: t0 + 20 * minute,
};
/** Nothing to go back to, and work that is taken away. */
const drainedTerms: Terms = {
  ...firmTerms,
  steps: orderSteps.filter((step) => step !== 'rollback'),
  rollbackTier: 0,
  notAfterMs: t0 + 20 * minute,
};

/** One situation of a host run, at an instant. */
interface Place {
  readonly run: HostRun;
  readonly nowMs: number;
}

type Answer = Pick<StepResult, 'outcome' | 'code' | 'facts'>;
const answers: readonly Answer[] = [
  { outcome: 'succeeded', code: 'ok', facts: {} },
  { outcome: 'succeeded', code: 'ok', facts: { restartRequired: true, bootIdBefore: 'a', bootIdAfter: 'b' } },
  { outcome: 'succeeded', code: 'nothing_to_do', facts: { restartRequired: false } },
  { outcome: 'failed', code: 'no_space', facts: {} },
  { outcome: 'failed', code: 'network', facts: {} },
  {
    outcome: 'failed',
    code: 'check_failed',
    facts: {
      checks: [{ check: 'c', ok: false, detail: '', tookMs: 1 }],
      installed: [{ name: 'p', from: null, to: '1' }],
    },
  },
  { outcome: 'refused', code: 'digest_mismatch', facts: {} },
  { outcome: 'refused', code: 'locked', facts: {} },
  { outcome: 'refused', code: 'after_window', facts: {} },
  { outcome: 'indeterminate', code: 'crashed', facts: {} },
];

const told: readonly HostRunEvent[] = [
  { type: 'start' },
  { type: 'occupied' },
  { type: 'heard' },
  { type: 'cancel' },
  { type: 'lock' },
  { type: 'windowOver' },
  ...(['agent', 'guardian'] as const).flatMap((by): HostRunEvent[] =>
    [true, false].map((succeeded) => ({
      ...{ type: 'selfRollback', by, succeeded, fence: 1, phasesMs: {}, isGreen: true },
    })),
  ),
];

/** Everything that may happen next: each event, each answer to the order at hand, and each lapse of time. */
function nextOf({ run, nowMs }: Place): { readonly event: HostRunEvent; readonly atMs: number }[] {
  const step: OrderStep | undefined =
    run.open?.step ?? (run.state === 'rollback_failed' ? 'rollback' : undefined);
  const attempt = run.open?.attempt ?? run.attempts.rollback ?? 0;
  const results = (step === undefined ? [] : answers).map((answer): HostRunEvent => ({
    type: 'result',
    step: step ?? 'preflight',
    attempt,
    fence: 1,
    ...answer,
  }));
  const { notAfterMs, reserveMs } = run.terms;
  const windowMs = [notAfterMs - reserveMs, notAfterMs];
  const clocksMs = Object.values(clocksOf(run) as unknown as Record<string, number | null>);
  const soon = (at: number | null): at is number => at !== null && at > nowMs;
  const clock = { type: 'clock' } as const;
  return [
    ...[nowMs, ...clocksMs.filter(soon), ...windowMs.filter(soon)].map((atMs) => ({ event: clock, atMs })),
    ...told.map((event) => ({ event, atMs: nowMs })),
    ...results.flatMap((event) => [nowMs, ...windowMs.filter(soon)].map((atMs) => ({ event, atMs }))),
  ];
}

/** Two situations from which the same follows, as far as this walk is concerned. */
function keyOf({ run, nowMs }: Place): string {
  const { state, lostIn, open, again, attempts, outcomes, stop, restartRequired, rounds, restartsAtMs } = run;
  const late = [run.terms.notAfterMs - run.terms.reserveMs, run.terms.notAfterMs].map((at) => nowMs >= at);
  const step = [open?.step, open?.deliveredAtMs != null, again?.step, attempts[open?.step ?? 'commit'] ?? 0];
  const mayAnswerLate = state === 'rollback_failed' && attempts.rollback !== undefined;
  return JSON.stringify([
    [state, lostIn, step, outcomes, stop, restartRequired, rounds, restartsAtMs.length],
    [
      late,
      run.terms.rollbackTier,
      run.terms.steps.length,
      run.terms.restart,
      run.drain,
      run.endsAs,
      mayAnswerLate,
    ],
  ]);
}

const fresh = (terms: Terms): HostRun => plannedHostRun(terms, 1, t0);
const beginnings: readonly HostRun[] = [
  fresh(firmTerms),
  fresh(looseTerms),
  fresh(drainedTerms),
  fresh({ ...firmTerms, steps: undrainedSteps }),
  fresh({ ...firmTerms, restart: 'never' }),
  // Tried again by people, so often that a breaker holds.
  { ...fresh(firmTerms), rounds: 5 },
  { ...fresh(firmTerms), restartsAtMs: [t0, t0, t0] },
  // A process that died between two orders, should a state ever be left there.
  ...(['guarded', 'awaiting_restart', 'rollback_decision'] as const).map((state) => ({
    ...{ ...fresh(firmTerms), state, totalByMs: t0 + minute, startedAtMs: t0 },
    outcomes: { ...fresh(firmTerms).outcomes, guard: 'taken' as const },
  })),
  {
    ...{ ...fresh(firmTerms), state: 'guarded', totalByMs: t0 + minute, startedAtMs: t0 },
    stop: 'stopped_by_lock',
  },
  {
    ...{ ...fresh(firmTerms), state: 'awaiting_restart', totalByMs: t0 + minute, startedAtMs: t0 },
    restartsAtMs: [t0, t0, t0],
  },
];

/** Walks through every situation that can be reached, and gathers `from > to: cause`. */
function everyTransition(): Set<string> {
  const seen = new Set<string>();
  const met = new Set<string>();
  const open: Place[] = beginnings.map((run) => ({ run, nowMs: t0 }));
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    if (met.has(keyOf(place))) continue;
    met.add(keyOf(place));
    const { run } = place;
    const reached = nextOf(place).map(({ event, atMs }) => ({ ...decide(run, event, atMs), nowMs: atMs }));
    for (const effect of reached.flatMap(({ effects }) => effects)) {
      if (effect.type === 'transition') seen.add(`${effect.from} > ${effect.to}: ${effect.cause}`);
    }
    open.push(...reached.map(({ state, nowMs }) => ({ run: state, nowMs })));
  }
  return seen;
}

describe('the table of a host run’s transitions', () => {
  it('lists exactly what happens when everything that can happen does', () => {
    const listed = hostRunStates.flatMap((from) =>
      Object.entries(hostRunTransitions[from]).flatMap(([to, causes]) =>
        causes.map((cause) => `${from} > ${to}: ${cause}`),
      ),
    );
    expect([...everyTransition()].sort()).toEqual(listed.sort());
  });
});
