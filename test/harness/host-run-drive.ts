import { orderSteps, type OrderStep } from '#contract/trust.ts';
import {
  plannedHostRun,
  type Effect,
  type HostRun,
  type HostRunEvent,
  type Terms,
} from '../../server/src/features/runs/host-run.model.ts';
import { awake } from '../../server/src/features/runs/host-run.clocks.ts';
import { decide } from '../../server/src/features/runs/host-run.policy.ts';

/** When every host run of these tests is planned. */
export const t0 = Date.parse('2026-11-21T20:00:00.000Z');
export const minute = 60_000;
const drainSteps: readonly OrderStep[] = ['drain', 'undrain'];
/** Every step but those of a host whose work is taken away. */
export const undrained = orderSteps.filter((step) => !drainSteps.includes(step));
const terms: Terms = {
  steps: undrained,
  restart: 'if_required',
  rollbackTier: 1,
  notAfterMs: t0 + 240 * minute,
  reserveMs: 10 * minute,
  silenceMs: 45_000,
};

/** A host run driven by hand: keeps every effect and the clock. */
export function drive(overrides: Partial<Terms> = {}) {
  let run = plannedHostRun({ ...terms, ...overrides }, 1, t0);
  let nowMs = t0;
  const effects: Effect[] = [];
  const tell = (event: HostRunEvent): void => {
    const decided = decide(run, event, nowMs);
    run = decided.state;
    effects.push(...decided.effects);
  };
  const answer = (step: OrderStep, change: Partial<Extract<HostRunEvent, { type: 'result' }>> = {}): void => {
    nowMs += 1000;
    const attempt = run.open?.attempt ?? 1;
    tell({ type: 'result', step, attempt, fence: 1, outcome: 'succeeded', code: 'ok', facts: {}, ...change });
  };
  return {
    tell,
    answer,
    wait: (ms: number) => {
      nowMs += ms;
      tell({ type: 'clock' });
    },
    /** The server is away so long, and looks at the clocks as soon as it is back. */
    away: (ms: number) => {
      nowMs += ms;
      run = awake(run, nowMs);
      tell({ type: 'clock' });
    },
    upTo: (step: OrderStep) => {
      tell({ type: 'start' });
      for (const before of run.terms.steps.slice(0, run.terms.steps.indexOf(step))) {
        if (before === 'install') answer(before, { facts: { restartRequired: true } });
        else if (before === 'restart') answer(before, { facts: { bootIdBefore: 'a', bootIdAfter: 'b' } });
        else answer(before);
      }
    },
    get run(): HostRun {
      return run;
    },
    get now(): number {
      return nowMs;
    },
    sent: () => effects.flatMap((effect) => (effect.type === 'send' ? [effect.step] : [])),
    decisions: () => effects.flatMap((effect) => (effect.type === 'decide' ? [effect.code] : [])),
    path: () => effects.flatMap((effect) => (effect.type === 'transition' ? [effect.to] : [])),
  };
}
