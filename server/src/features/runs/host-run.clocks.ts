import type { HostRunState } from '#contract/runs.ts';
import type { OrderStep } from '#contract/trust.ts';
import { verbCatalogue, type Verb } from '#contract/verbs.ts';
import { isTerminal, type HostRun } from './host-run.model.ts';

const second = 1000;
const minute = 60 * second;

export const stepVerbs: Readonly<Record<OrderStep, Verb>> = {
  preflight: 'host.preflight',
  guard: 'guard.create',
  download: 'updates.download',
  drain: 'host.drain',
  install: 'updates.install',
  restart: 'host.restart',
  undrain: 'host.undrain',
  verify: 'health.verify',
  commit: 'guard.commit',
  rollback: 'guard.rollback',
};

/** Added to the agent's own limit, so that its truth arrives before our time-out. */
const slackMs = 60 * second;
/** A delivered order that nobody confirmed is given again after this. */
export const queueMs = 2 * minute;
/** A restart is silent by nature. */
const restartSilenceMs = 10 * minute;
/** How long we wait for a lost agent: before any change there is nothing to lose by giving up. */
const lostBeforeChangeMs = 15 * minute;
const lostAfterChangeMs = 60 * minute;
/** A decision and the pause between two steps take no time; this is the net under a crash. */
const passingMs = 10 * minute;

const progressMs: Readonly<Record<OrderStep, number>> = {
  preflight: 2 * minute,
  guard: 15 * minute,
  download: 15 * minute,
  drain: 31 * minute,
  install: 30 * minute,
  restart: 21 * minute,
  undrain: 31 * minute,
  verify: 16 * minute,
  commit: 2 * minute,
  rollback: 11 * minute,
};

/** Longest time an order may take once delivered, all included. */
export function orderLimitMs(step: OrderStep): number {
  return verbCatalogue[stepVerbs[step]].timeoutS * second + slackMs;
}

/** Silence that a state allows. Restart and rollback take the host down on purpose. */
function silenceLimitMs(run: HostRun): number {
  const restarts = run.open?.step === 'restart' || run.open?.step === 'rollback';
  return restarts ? Math.max(restartSilenceMs, run.terms.silenceMs) : run.terms.silenceMs;
}

/** Total clock of a state that was just entered. Every state that is not an end has one. */
export function totalBy(run: HostRun, state: HostRunState, nowMs: number): number | null {
  if (isTerminal(state)) return null;
  if (state === 'planned') return windowEnd(run);
  if (state === 'agent_lost') {
    const limit = run.lostIn !== null && isEarly(run.lostIn) ? lostBeforeChangeMs : lostAfterChangeMs;
    return nowMs + limit;
  }
  return nowMs + (run.open === null ? passingMs : orderLimitMs(run.open.step) + queueMs);
}

function isEarly(state: HostRunState): boolean {
  return ['planned', 'preflight', 'guarding', 'guarded', 'downloading', 'draining'].includes(state);
}

/** The instant after which no step that leads to a change may start. */
export function windowEnd(run: HostRun): number {
  return run.terms.notAfterMs - run.terms.reserveMs;
}

export interface Clocks {
  readonly queueBy: number | null;
  readonly heartbeatBy: number | null;
  readonly progressBy: number | null;
  readonly totalBy: number | null;
  readonly againAt: number | null;
}

/** The four clocks of the state as instants, and the time at which an order is given again. */
export function clocksOf(run: HostRun): Clocks {
  const none = { queueBy: null, heartbeatBy: null, progressBy: null, totalBy: null, againAt: null };
  if (isTerminal(run.state)) return none;
  const { open } = run;
  if (open === null || run.state === 'agent_lost') {
    return {
      ...none,
      totalBy: run.totalByMs,
      againAt: run.state === 'agent_lost' ? null : (run.again?.atMs ?? null),
    };
  }
  const delivered = open.deliveredAtMs;
  return {
    queueBy: delivered === null ? open.sentAtMs + queueMs : null,
    heartbeatBy: run.lastHeardAtMs + silenceLimitMs(run),
    progressBy: delivered === null ? null : (open.progressAtMs ?? delivered) + progressMs[open.step],
    totalBy: run.totalByMs,
    againAt: null,
  };
}

/** Agents that were cut off together with the server need a moment to come back with what they did meanwhile. */
export const comeBackMs = 90 * second;

/**
 * The host run as a process finds it that hears agents since an instant. While nobody listened no order ran out and no
 * host fell silent: what they did waits with them, and is told when they are back.
 */
export function awake(run: HostRun, listeningSinceMs: number): HostRun {
  if (isTerminal(run.state)) return run;
  const lastHeardAtMs = Math.max(run.lastHeardAtMs, listeningSinceMs);
  const { open, totalByMs } = run;
  // What waits for no host goes by the time that has passed.
  if (open === null && run.state !== 'agent_lost') return { ...run, lastHeardAtMs };
  const heardOf = open?.progressAtMs ?? open?.deliveredAtMs ?? null;
  const progressBy = open === null || heardOf === null ? null : heardOf + progressMs[open.step];
  const soonest = listeningSinceMs + comeBackMs;
  const isLate = open !== null && progressBy !== null && progressBy < soonest;
  return {
    ...run,
    lastHeardAtMs,
    totalByMs: totalByMs === null ? null : Math.max(totalByMs, soonest),
    open: isLate ? { ...open, progressAtMs: soonest - progressMs[open.step] } : open,
  };
}

/** The next instant at which time alone changes something; null only at an end. */
export function deadlineOf(run: HostRun): number | null {
  const instants = Object.values(clocksOf(run) as unknown as Record<string, number | null>).filter(
    (at): at is number => at !== null,
  );
  return instants.length === 0 ? null : Math.min(...instants);
}
