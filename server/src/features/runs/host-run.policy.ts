import type { HostRunCause } from '#contract/run-transitions.ts';
import type { OrderStep } from '#contract/trust.ts';
import type { Hold } from './group-budget.policy.ts';
import { clocksOf, orderLimitMs } from './host-run.clocks.ts';
import {
  isBeforeChange,
  isTerminal,
  type Decided,
  type HostRun,
  type HostRunEvent,
} from './host-run.model.ts';
import {
  decideRollback,
  endAs,
  failUnchanged,
  giveRestart,
  giveRollback,
  move,
  note,
  order,
  patch,
  proceed,
  revive,
  setOutcomes,
  type Draft,
} from './host-run.moves.ts';
import { applyResult, applySelfRollback, failUndrain } from './host-run.results.ts';

/** Orders to commit whose clock ran out before the host is put back. */
export const maxCommitTries = 3;

/** Stops before the next safe point: at once while the host is idle or unreachable, else when its order has ended. */
function stopRun(draft: Draft, stop: NonNullable<HostRun['stop']>): void {
  const { run } = draft;
  if (!isBeforeChange(run) || run.endsAs) return;
  patch(draft, { stop });
  const isGone = run.state === 'agent_lost' && run.drain !== 'out';
  const idle = run.open === null || isGone;
  if (!idle) return;
  note(draft, stop);
  endAs(draft, stop === 'window_over' ? 'missed' : 'cancelled');
}

/** The agent did not come back in time. What is not known is said to be unknown. */
function giveUpLost(draft: Draft): void {
  const { run } = draft;
  const wasRollingBack = run.lostIn === 'rolling_back' || run.lostIn === 'rollback_decision';
  if (isBeforeChange(run)) {
    note(draft, 'agent_silent', { state: run.lostIn ?? run.state });
    failUnchanged(draft);
    return;
  }
  note(draft, 'indeterminate', { state: run.lostIn ?? run.state });
  setOutcomes(draft, { patch: 'unknown' });
  move(draft, wasRollingBack ? 'rollback_failed' : 'failed');
}

function expireOrder(draft: Draft, step: OrderStep): void {
  const values = { step, state: draft.run.state };
  if (step === 'undrain') {
    failUndrain(draft, values);
  } else if (step === 'preflight' || step === 'guard' || step === 'download' || step === 'drain') {
    note(draft, 'clock_expired', values);
    if (step === 'guard') setOutcomes(draft, { guard: 'failed' });
    failUnchanged(draft);
  } else if (step === 'rollback') {
    note(draft, 'clock_expired', values);
    move(draft, 'rollback_failed');
  } else if (step === 'commit' && (draft.run.attempts.commit ?? 0) < maxCommitTries) {
    order(draft, 'commit');
    patch(draft, { totalByMs: draft.nowMs + orderLimitMs('commit') });
  } else {
    if (step === 'restart') setOutcomes(draft, { restart: 'not_proven' });
    if (step === 'verify') setOutcomes(draft, { verification: 'unknown' });
    decideRollback(draft, 'clock_expired', values);
  }
}

/** A state between two orders stayed: the process died there, or a retry ran out of time. */
function expirePassing(draft: Draft): void {
  const { run } = draft;
  if (run.again?.step === 'install') {
    note(draft, 'clock_expired', { step: 'install', state: run.state });
    failUnchanged(draft);
  } else if (run.again !== null) {
    expireOrder(draft, run.again.step);
  } else if (run.state === 'planned') {
    note(draft, 'window_over');
    endAs(draft, 'missed');
  } else if (run.state === 'guarded') {
    proceed(draft, 'download');
  } else if (run.state === 'awaiting_restart') {
    giveRestart(draft);
  } else if (run.state === 'rollback_decision') {
    giveRollback(draft);
  } else {
    decideRollback(draft, 'clock_expired', { state: run.state });
  }
}

function dueBy(at: number | null, nowMs: number): boolean {
  return at !== null && at <= nowMs;
}

function applyClock(draft: Draft): void {
  const { run, nowMs } = draft;
  const clocks = clocksOf(run);
  if (dueBy(clocks.totalBy, nowMs)) {
    if (run.state === 'agent_lost') giveUpLost(draft);
    else if (run.open === null) expirePassing(draft);
    else expireOrder(draft, run.open.step);
  } else if (dueBy(clocks.heartbeatBy, nowMs)) {
    note(draft, 'agent_silent', {
      state: run.state,
      seconds: Math.round((nowMs - run.lastHeardAtMs) / 1000),
    });
    move(draft, 'agent_lost');
    // Nothing was changed and somebody wants out: there is nothing to wait for.
    if (run.stop !== null && isBeforeChange(draft.run)) stopRun(draft, run.stop);
  } else if (dueBy(clocks.progressBy, nowMs) && run.open !== null) {
    expireOrder(draft, run.open.step);
  } else if (dueBy(clocks.queueBy, nowMs) && run.open !== null) {
    patch(draft, { open: { ...run.open, sentAtMs: nowMs } });
    draft.effects.push({ type: 'redeliver', step: run.open.step, attempt: run.open.attempt });
  } else if (dueBy(clocks.againAt, nowMs) && run.again !== null) {
    const { step } = run.again;
    const isClosing = ['undrain', 'verify', 'commit', 'restart', 'rollback'].includes(step);
    if (isClosing) order(draft, step);
    else proceed(draft, step);
  }
}

function markOpen(
  draft: Draft,
  event: { step: OrderStep; attempt: number; type: 'delivered' | 'progress' },
): void {
  const { open } = draft.run;
  if (open === null || open.step !== event.step || open.attempt !== event.attempt) return;
  // Only the first try starts the total clock: tries after it share its time, so that no loop of them lasts for ever.
  const starts = open.deliveredAtMs === null && open.attempt === 1 && draft.run.state !== 'agent_lost';
  patch(draft, {
    open: {
      ...open,
      deliveredAtMs: open.deliveredAtMs ?? draft.nowMs,
      progressAtMs: event.type === 'progress' ? draft.nowMs : open.progressAtMs,
    },
    ...(starts ? { totalByMs: draft.nowMs + orderLimitMs(open.step) } : {}),
  });
}

function hear(draft: Draft): void {
  if (isTerminal(draft.run.state)) return;
  patch(draft, { lastHeardAtMs: Math.max(draft.run.lastHeardAtMs, draft.nowMs) });
  revive(draft);
}

function applyBack(draft: Draft, knowsOpen: boolean): void {
  hear(draft);
  const { open } = draft.run;
  if (open === null || isTerminal(draft.run.state)) return;
  if (knowsOpen) markOpen(draft, { ...open, type: 'progress' });
  draft.effects.push({ type: 'redeliver', step: open.step, attempt: open.attempt });
}

/** The host stays where it is; said once for each reason. */
function hold(draft: Draft, { code, values }: Hold): void {
  if (draft.run.state !== 'planned') return;
  const why = JSON.stringify({ code, values });
  const { held } = draft.run;
  if (held?.why === why) return;
  patch(draft, { held: { why, sinceMs: held?.sinceMs ?? draft.nowMs } });
  note(draft, code, values);
}

function endHold(draft: Draft): void {
  const { held } = draft.run;
  if (held === undefined || held === null) return;
  note(draft, 'wait_over', { seconds: (draft.nowMs - held.sinceMs) / 1000 });
  patch(draft, { held: null });
}

/** Why a transition happens, as long as nothing more exact is said; of a step that fails more is always said. */
const eventCauses: Readonly<Record<HostRunEvent['type'], HostRunCause>> = {
  start: 'wave_started',
  occupied: 'in_other_run',
  held: 'wave_started',
  delivered: 'agent_back',
  progress: 'agent_back',
  heard: 'agent_back',
  back: 'agent_back',
  clock: 'clock_expired',
  cancel: 'cancelled_by_person',
  lock: 'stopped_by_lock',
  unlock: 'stopped_by_lock',
  windowOver: 'window_over',
  result: 'step_succeeded',
  selfRollback: 'agent_reverted',
};

function apply(draft: Draft, event: HostRunEvent): void {
  switch (event.type) {
    case 'start':
      if (draft.run.state !== 'planned') return;
      endHold(draft);
      patch(draft, { startedAtMs: draft.nowMs, lastHeardAtMs: draft.nowMs });
      proceed(draft, 'preflight');
      return;
    case 'occupied':
      if (draft.run.state !== 'planned') return;
      note(draft, 'preflight_failed', { reason: 'in_other_run' });
      draft.cause = 'in_other_run';
      move(draft, 'superseded');
      return;
    case 'held':
      hold(draft, event.hold);
      return;
    case 'delivered':
      markOpen(draft, event);
      return;
    case 'progress':
      hear(draft);
      markOpen(draft, event);
      return;
    case 'heard':
      hear(draft);
      return;
    case 'back':
      applyBack(draft, event.knowsOpen);
      return;
    case 'clock':
      applyClock(draft);
      return;
    case 'cancel':
      stopRun(draft, 'cancelled_by_person');
      return;
    case 'lock':
      stopRun(draft, 'stopped_by_lock');
      return;
    case 'unlock':
      if (draft.run.stop === 'stopped_by_lock') patch(draft, { stop: null });
      return;
    case 'windowOver':
      stopRun(draft, 'window_over');
      return;
    case 'result':
      hear(draft);
      applyResult(draft, event);
      return;
    case 'selfRollback':
      hear(draft);
      applySelfRollback(draft, event);
  }
}

/**
 * The one rule of a host run: what happened, seen at an instant, gives the next state and what must be done for it.
 * Pure: no clock, no random, no waiting. The shell persists the state and the effects in one transaction.
 */
export function decide(run: HostRun, event: HostRunEvent, nowMs: number): Decided {
  const draft: Draft = { run, effects: [], nowMs, cause: eventCauses[event.type] };
  apply(draft, event);
  return { state: draft.run, effects: draft.effects };
}
