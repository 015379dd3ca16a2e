import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcomes, resultCodes } from '#contract/results.ts';
import { hostRunTransitions, terminalHostRunStates } from '#contract/run-transitions.ts';
import { hostRunStates } from '#contract/runs.ts';
import { orderSteps } from '#contract/trust.ts';
import { deadlineOf } from './host-run.clocks.ts';
import {
  plannedHostRun,
  type Effect,
  type HostRun,
  type HostRunEvent,
  type Terms,
} from './host-run.model.ts';
import { decide } from './host-run.policy.ts';

const t0 = Date.parse('2026-11-21T20:00:00.000Z');
const minute = 60_000;

const anyFacts = fc.record(
  {
    restartRequired: fc.boolean(),
    bootIdBefore: fc.constantFrom('a', 'b'),
    bootIdAfter: fc.constantFrom('a', 'b'),
    checks: fc.array(
      fc.record({ check: fc.constant('c'), ok: fc.boolean(), detail: fc.constant(''), tookMs: fc.nat(9) }),
      {
        maxLength: 2,
      },
    ),
    drained: fc.boolean(),
    installed: fc.array(
      fc.record({ name: fc.constant('p'), from: fc.constant(null), to: fc.constant('1') }),
      {
        maxLength: 1,
      },
    ),
  },
  { requiredKeys: [] },
);
const step = fc.constantFrom(...orderSteps);
const attempt = fc.integer({ min: 1, max: 3 });
const anyEvent: fc.Arbitrary<HostRunEvent> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<HostRunEvent>({ type: 'start' }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('delivered' as const), step, attempt }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('progress' as const), step, attempt }) },
  { weight: 2, arbitrary: fc.constant<HostRunEvent>({ type: 'heard' }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('back' as const), knowsOpen: fc.boolean() }) },
  { weight: 4, arbitrary: fc.constant<HostRunEvent>({ type: 'clock' }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<HostRunEvent>(
      { type: 'cancel' },
      { type: 'lock' },
      { type: 'unlock' },
      { type: 'windowOver' },
      { type: 'held', hold: { code: 'waits_for_group', values: { group: 'g', host: 'h' } } },
    ),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('result' as const),
      step,
      attempt,
      fence: fc.constantFrom(1, 1, 1, 0),
      outcome: fc.constantFrom(...outcomes),
      code: fc.constantFrom(...resultCodes),
      facts: anyFacts,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('selfRollback' as const),
      by: fc.constantFrom('agent' as const, 'guardian' as const),
      succeeded: fc.boolean(),
      fence: fc.constantFrom(1, 0),
      phasesMs: fc.constant({ restore: 10 }),
      isGreen: fc.boolean(),
      isDrained: fc.boolean(),
    }),
  },
);
/** An answer to whatever order is open, so that the walk gets far. */
const answerOpen = fc.record({
  outcome: fc.oneof(
    { weight: 6, arbitrary: fc.constant('succeeded' as const) },
    fc.constantFrom(...outcomes),
  ),
  code: fc.oneof({ weight: 6, arbitrary: fc.constant('ok' as const) }, fc.constantFrom(...resultCodes)),
  facts: anyFacts,
  waitMs: fc.integer({ min: 0, max: 30_000 }),
});
const anyTerms: fc.Arbitrary<Terms> = fc
  .record({
    tier: fc.constantFrom(0, 1),
    restart: fc.constantFrom('if_required' as const, 'always' as const, 'never' as const),
    windowMinutes: fc.integer({ min: 5, max: 300 }),
    drains: fc.boolean(),
  })
  .map(({ tier, restart, windowMinutes, drains }) => ({
    steps: orderSteps.filter(
      (name) =>
        (name !== 'rollback' || tier === 1) &&
        (name !== 'restart' || restart !== 'never') &&
        (drains || (name !== 'drain' && name !== 'undrain')),
    ),
    restart,
    rollbackTier: tier,
    notAfterMs: t0 + windowMinutes * minute,
    reserveMs: 2 * minute,
    silenceMs: 45_000,
  }));
const anyWalk = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: answerOpen.map((reply) => ({ kind: 'answer' as const, reply })) },
    { weight: 2, arbitrary: anyEvent.map((event) => ({ kind: 'event' as const, event })) },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 1, max: 5_000_000 }).map((ms) => ({ kind: 'wait' as const, ms })),
    },
  ),
  { minLength: 1, maxLength: 40 },
);

function assertStep(before: HostRun, after: HostRun, effects: readonly Effect[]): void {
  let { state } = before;
  for (const effect of effects) {
    if (effect.type === 'transition') {
      expect(effect.from).toBe(state);
      expect(Object.keys(hostRunTransitions[effect.from])).toContain(effect.to);
      state = effect.to;
    }
    if (effect.type === 'send' || effect.type === 'redeliver') {
      expect(terminalHostRunStates).not.toContain(before.state);
      expect(after.terms.steps).toContain(effect.step);
    }
    if (effect.type === 'send' && effect.step === 'install') {
      const guarded = after.outcomes.guard === 'taken' || after.terms.rollbackTier !== 1;
      expect(guarded).toBe(true);
    }
    if (effect.type === 'send' && (effect.step === 'verify' || effect.step === 'commit'))
      expect(after.drain ?? null).toBeNull();
    if (effect.type === 'send' && effect.step === 'install' && after.terms.steps.includes('drain'))
      expect(after.drain).toBe('out');
    if (effect.type === 'send' && effect.step === 'commit') expect(after.outcomes.verification).toBe('green');
  }
  expect(after.state).toBe(state);
  const isOver = terminalHostRunStates.includes(after.state);
  // Whose work may still be away is never called ended without a word about it, nor ended well.
  if (isOver && !terminalHostRunStates.includes(before.state) && after.drain) {
    expect(effects).toContainEqual(expect.objectContaining({ type: 'decide', code: 'undrain_failed' }));
    expect(['failed', 'rolled_back', 'rollback_failed']).toContain(after.state);
  }
  if (isOver) expect(after.open).toBeNull();
  else expect(deadlineOf(after)).not.toBeNull();
}

describe('any host run, whatever happens in whatever order', () => {
  it('keeps the rules at every step and ends truthfully by time alone', () => {
    fc.assert(
      fc.property(anyTerms, anyWalk, (someTerms, walk) => {
        let run = plannedHostRun(someTerms, 1, t0);
        let nowMs = t0;
        const tell = (event: HostRunEvent): void => {
          const decided = decide(run, event, nowMs);
          assertStep(run, decided.state, decided.effects);
          run = decided.state;
        };
        tell({ type: 'start' });
        for (const act of walk) {
          if (act.kind === 'wait') nowMs += act.ms;
          if (act.kind === 'event') tell(act.event);
          if (act.kind === 'answer' && run.open !== null) {
            nowMs += act.reply.waitMs;
            const { step: open, attempt: tried } = run.open;
            const { outcome, code, facts } = act.reply;
            tell({ type: 'result', step: open, attempt: tried, fence: 1, outcome, code, facts });
          }
        }
        for (let turns = 0; deadlineOf(run) !== null; turns += 1) {
          expect(turns).toBeLessThan(500);
          nowMs = Math.max(nowMs, deadlineOf(run) ?? nowMs);
          tell({ type: 'clock' });
        }
        expect(terminalHostRunStates).toContain(run.state);
        if (run.state === 'committed') {
          expect(run.outcomes.verification).toBe('green');
        }
        if (run.state === 'rolled_back') expect(run.outcomes.patch).toBe('reverted');
        if (['cancelled', 'missed'].includes(run.state)) expect(run.attempts.install).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  it('knows every state of the contract', () => {
    for (const state of hostRunStates) expect(hostRunTransitions[state]).toBeDefined();
  });
});
