import { hostRunCauses, mayMoveHostRun, type HostRunCause } from '#contract/run-transitions.ts';
import type { Decision, HostRunOutcomes, HostRunState } from '#contract/runs.ts';
import type { OrderStep } from '#contract/trust.ts';
import { totalBy, windowEnd } from './host-run.clocks.ts';
import { isTerminal, type DecisionCode, type Effect, type HostRun } from './host-run.model.ts';

/** A decision being made: the run as it will be, and what must happen for it. */
export interface Draft {
  run: HostRun;
  readonly effects: Effect[];
  readonly nowMs: number;
  /** Why the next transition happens: what happened, or what was said of it since. */
  cause: HostRunCause;
}

/** The state in which a host works on the order of a step. */
export const runningStates: Readonly<Record<OrderStep, HostRunState>> = {
  preflight: 'preflight',
  guard: 'guarding',
  download: 'downloading',
  drain: 'draining',
  install: 'installing',
  restart: 'restarting',
  undrain: 'undraining',
  verify: 'verifying',
  commit: 'committing',
  rollback: 'rolling_back',
};

/** Loop breakers. The host counts its restarts too. */
export const breakers = { restarts: 3, restartsWithinMs: 24 * 60 * 60 * 1000, rounds: 5 } as const;

/** Says why. What was said last is the cause of the transition that follows. */
export function note(draft: Draft, code: DecisionCode, values: Decision['values'] = {}): void {
  draft.cause = hostRunCauses.find((cause) => cause === code) ?? draft.cause;
  draft.effects.push({ type: 'decide', code, values });
}

export function patch(draft: Draft, change: Partial<HostRun>): void {
  draft.run = { ...draft.run, ...change };
}

export function setOutcomes(draft: Draft, change: Partial<HostRunOutcomes>): void {
  patch(draft, { outcomes: { ...draft.run.outcomes, ...change } });
}

/** Enters a state, its total clock started. A transition or a cause that the contract does not list is a bug and throws. */
export function move(draft: Draft, to: HostRunState): void {
  const from = draft.run.state;
  if (!mayMoveHostRun(from, to, draft.cause)) {
    throw new Error(`illegal transition of a host run: ${from} to ${to} because of ${draft.cause}`);
  }
  draft.effects.push({ type: 'transition', from, to, cause: draft.cause });
  patch(draft, {
    state: to,
    sinceMs: draft.nowMs,
    lostIn: to === 'agent_lost' ? from : null,
    ...(isTerminal(to) ? { open: null, again: null, endedAtMs: draft.nowMs } : {}),
  });
  patch(draft, { totalByMs: totalBy(draft.run, to, draft.nowMs) });
  if (isTerminal(to) && isDrained(draft.run)) note(draft, 'undrain_failed', { state: from });
}

function isDrained({ drain }: HostRun): boolean {
  return drain === 'out' || drain === 'stuck';
}

/** Ends the host run. What was taken away from the host comes back first, where an order can reach it. */
function end(draft: Draft, to: NonNullable<HostRun['endsAs']>): void {
  if (draft.run.drain === 'out' && draft.run.state !== 'agent_lost') {
    patch(draft, { endsAs: to });
    order(draft, 'undrain');
  } else {
    move(draft, to);
  }
}

/** The changed host goes on to its checks, which need its work to be back. */
export function goToChecks(draft: Draft): void {
  order(draft, draft.run.drain === 'out' ? 'undrain' : 'verify');
}

/** Ends the host run in the given state if the way there is open, otherwise as failed. */
export function endAs(draft: Draft, to: 'missed' | 'cancelled'): void {
  end(draft, mayMoveHostRun(draft.run.state, to, draft.cause) ? to : 'failed');
  if (draft.run.outcomes.guard === 'taken') setOutcomes(draft, { guard: 'kept' });
}

/** Fails before anything was changed. */
export function failUnchanged(draft: Draft): void {
  end(draft, 'failed');
  if (draft.run.outcomes.guard === 'taken') setOutcomes(draft, { guard: 'kept' });
}

/** Gives the order of a step, entering the state in which the host works on it. */
export function order(draft: Draft, step: OrderStep): void {
  const attempt = (draft.run.attempts[step] ?? 0) + 1;
  patch(draft, {
    again: null,
    open: { step, attempt, sentAtMs: draft.nowMs, deliveredAtMs: null, progressAtMs: null },
    attempts: { ...draft.run.attempts, [step]: attempt },
  });
  const state = runningStates[step];
  if (draft.run.state !== state) move(draft, state);
  draft.effects.push({ type: 'send', step, attempt });
}

/** Waits, then gives the same step again under a new command. */
export function orderAgain(draft: Draft, step: OrderStep, delayMs: number): void {
  patch(draft, { open: null, again: { step, atMs: draft.nowMs + delayMs } });
}

/**
 * Goes on to a step before the change, unless somebody or the window says stop:
 * the pause between two steps is the safe point.
 */
export function proceed(draft: Draft, step: OrderStep): void {
  patch(draft, { open: null });
  const { stop } = draft.run;
  if (stop === 'window_over' || draft.nowMs >= windowEnd(draft.run)) {
    note(draft, 'window_over');
    endAs(draft, 'missed');
    return;
  }
  if (stop !== null) {
    note(draft, stop);
    endAs(draft, 'cancelled');
    return;
  }
  if (step !== 'install' && step !== 'drain') {
    order(draft, step);
    return;
  }
  if (draft.run.rounds >= breakers.rounds) {
    note(draft, 'install_failed', { reason: 'round_breaker' });
    failUnchanged(draft);
    return;
  }
  if (step === 'drain') {
    // From here on its work may be away, and nobody knows until it says so.
    patch(draft, { drain: 'out' });
    order(draft, step);
    return;
  }
  patch(draft, { rounds: draft.run.rounds + 1 });
  // From here on the host may change at any moment, and nobody knows until it says so.
  setOutcomes(draft, { patch: 'unknown' });
  order(draft, step);
}

function canRollBack({ run }: Draft): boolean {
  return run.terms.steps.includes('rollback') && run.outcomes.guard === 'taken';
}

/** Something went wrong after the change began: put the host back where that is possible, else say the truth. */
export function decideRollback(draft: Draft, code: DecisionCode, values: Decision['values'] = {}): void {
  note(draft, code, values);
  patch(draft, { open: null, again: null, detectedAtMs: draft.run.detectedAtMs ?? draft.nowMs });
  move(draft, 'rollback_decision');
  giveRollback(draft);
}

/** Leaves `rollback_decision`: the order to go back when the host holds a checkpoint, otherwise the end. */
export function giveRollback(draft: Draft): void {
  draft.cause = canRollBack(draft) ? 'checkpoint_held' : 'no_checkpoint';
  if (canRollBack(draft)) order(draft, 'rollback');
  else end(draft, 'failed');
}

/** After the installation: restart as policy and host say, else straight to the checks. */
export function planRestart(draft: Draft): void {
  const { terms, restartRequired } = draft.run;
  patch(draft, { open: null });
  if (terms.strictEnd === true && draft.nowMs >= terms.notAfterMs && canRollBack(draft)) {
    decideRollback(draft, 'hard_stop');
    return;
  }
  const hasOrder = terms.steps.includes('restart') && terms.restart !== 'never';
  if (!hasOrder || (terms.restart === 'if_required' && restartRequired === false)) {
    const pending = restartRequired === true;
    setOutcomes(draft, {
      restart: pending ? 'pending' : restartRequired === false ? 'not_needed' : 'unknown',
    });
    note(draft, pending ? 'restart_skipped_by_policy' : 'restart_not_needed');
    goToChecks(draft);
    return;
  }
  setOutcomes(draft, { restart: 'pending' });
  if (terms.strictEnd === true && draft.nowMs >= windowEnd(draft.run)) {
    note(draft, 'restart_deferred');
    goToChecks(draft);
    return;
  }
  move(draft, 'awaiting_restart');
  giveRestart(draft);
}

/** Leaves `awaiting_restart`, unless the host restarted too often already. */
export function giveRestart(draft: Draft): void {
  const recent = draft.run.restartsAtMs.filter((at) => at > draft.nowMs - breakers.restartsWithinMs);
  if (recent.length >= breakers.restarts) {
    decideRollback(draft, 'restart_not_proven', { reason: 'restart_breaker', restarts: recent.length });
    return;
  }
  patch(draft, { restartsAtMs: [...recent, draft.nowMs] });
  order(draft, 'restart');
}

/**
 * The host is back in its previous state; `isGreen` when its checks were run there and held. It brings its work back by
 * itself, and says so.
 */
export function concludeRolledBack(
  draft: Draft,
  told: { readonly seconds: number | null; readonly isGreen: boolean; readonly isDrained: boolean },
): void {
  patch(draft, { drain: told.isDrained ? 'stuck' : null });
  move(draft, 'rolled_back');
  patch(draft, { rollbackSeconds: told.seconds, restoredGreen: told.isGreen && !told.isDrained });
  setOutcomes(draft, { patch: 'reverted', guard: 'used' });
}

/** The agent is there again: back to where it was lost. */
export function revive(draft: Draft): void {
  const { lostIn } = draft.run;
  if (draft.run.state !== 'agent_lost' || lostIn === null) return;
  const { cause } = draft;
  note(draft, 'agent_back', { state: lostIn });
  move(draft, lostIn);
  draft.cause = cause;
}
