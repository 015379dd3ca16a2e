import type { OrderStep, ReleaseDocument } from '#contract/trust.ts';
import type { StepRecord } from './agentView.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';

/** How far the host's clock may lag behind the latest proved instant before nothing is believed about time. */
const clockLagLimitMs = 5 * 60_000;

/** Steps that finish or undo what was begun: a host must never be left half-changed because a window closed. */
const closingSteps: ReadonlySet<OrderStep> = new Set(['verify', 'commit', 'rollback']);

export interface TimeView {
  readonly nowMs: number;
  readonly timeFloorMs: number;
}

export function checkClock({ nowMs, timeFloorMs }: TimeView): Refusal | null {
  const lagMs = timeFloorMs - nowMs;
  if (lagMs <= clockLagLimitMs) return null;
  return refuse(
    'clock_behind',
    `the clock is ${Math.round(lagMs / 1000)} s behind the latest proved instant`,
  );
}

/**
 * The opening is judged by the local clock and the closing by the later of clock and floor: neither a forged
 * checkpoint time nor a set-back clock makes the window wider.
 */
export function checkWindow(
  release: ReleaseDocument,
  step: OrderStep,
  view: TimeView & { history: readonly StepRecord[] },
): Refusal | null {
  if (view.nowMs < Date.parse(release.notBefore))
    return refuse('before_window', `opens at ${release.notBefore}`);
  if (Math.max(view.nowMs, view.timeFloorMs) < Date.parse(release.notAfter)) return null;
  const isUnderWay = view.history.some((record) => record.step === 'install');
  if (isUnderWay && closingSteps.has(step)) return null;
  // What was taken away comes back at any hour.
  if (step === 'undrain' && view.history.some((record) => record.step === 'drain')) return null;
  return refuse('after_window', `closed at ${release.notAfter}`);
}
