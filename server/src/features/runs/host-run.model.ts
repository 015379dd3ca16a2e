import type { ResultCode, ResultFacts, Outcome } from '#contract/results.ts';
import type { Decision, HostRunOutcomes, HostRunState } from '#contract/runs.ts';
import { terminalHostRunStates, type HostRunCause } from '#contract/run-transitions.ts';
import type { OrderStep } from '#contract/trust.ts';
import type { Hold } from './group-budget.policy.ts';

export type DecisionCode = Decision['code'];
export type RestartPolicy = 'if_required' | 'always' | 'never';
type StopCause = 'cancelled_by_person' | 'stopped_by_lock' | 'window_over';

/** What the release fixed for this host; it never changes during the run. */
export interface Terms {
  /** Steps that the signed target document holds an order for. */
  readonly steps: readonly OrderStep[];
  readonly restart: RestartPolicy;
  /** 1 checkpoint, 2 uninstall, 3 restore, 0 none. */
  readonly rollbackTier: number;
  readonly notAfterMs: number;
  /** No step that begins a change starts later than `notAfterMs - reserveMs`. */
  readonly reserveMs: number;
  /**
   * The window's own figures hold: no restart begins after `notAfterMs - reserveMs`, and an installation that is not
   * done at `notAfterMs` is put back. Absent for a time that came from no window.
   */
  readonly strictEnd?: boolean;
  /** Silence after which an agent counts as lost, outside restarts. */
  readonly silenceMs: number;
}

/** The one order that the host is working on. Its key (step, attempt) and the fence name one command for ever. */
export interface OpenOrder {
  readonly step: OrderStep;
  readonly attempt: number;
  readonly sentAtMs: number;
  readonly deliveredAtMs: number | null;
  /** Last word about this very order. */
  readonly progressAtMs: number | null;
}

/** Everything the rules need to know about one host's way through a run. */
export interface HostRun {
  readonly terms: Terms;
  readonly state: HostRunState;
  readonly sinceMs: number;
  readonly lostIn: HostRunState | null;
  readonly fence: number;
  readonly open: OpenOrder | null;
  /** An order to give again, and when. */
  readonly again: { readonly step: OrderStep; readonly atMs: number } | null;
  /** How often each step was ordered. */
  readonly attempts: Readonly<Partial<Record<OrderStep, number>>>;
  /** Keys `step:attempt:outcome` of results that have been taken into account. */
  readonly answered: readonly string[];
  readonly outcomes: HostRunOutcomes;
  readonly stop: StopCause | null;
  /** The host's work was taken away and is not back yet; `stuck`: it could not be brought back. Absent while nothing was. */
  readonly drain?: 'out' | 'stuck' | null;
  /** How the host run ends once the host's work is back; without it the way goes on to the checks. */
  readonly endsAs?: 'failed' | 'cancelled' | 'missed' | null;
  readonly restartRequired: boolean | null;
  readonly restartsAtMs: readonly number[];
  /** Installations begun. */
  readonly rounds: number;
  /** The state's total clock. */
  readonly totalByMs: number | null;
  readonly lastHeardAtMs: number;
  /** When the failure was seen that the rollback answers. */
  readonly detectedAtMs: number | null;
  readonly rollbackSeconds: number | null;
  /** Checks were green after the rollback. Absent in memories of before there were groups. */
  readonly restoredGreen?: boolean;
  /** Why it waits though its wave has begun, and since when. */
  readonly held?: { readonly why: string; readonly sinceMs: number } | null;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
}

export interface StepResult {
  readonly type: 'result';
  readonly step: OrderStep;
  readonly attempt: number;
  readonly fence: number;
  readonly outcome: Outcome;
  readonly code: ResultCode;
  readonly facts: ResultFacts;
}

/** The host put itself back, without an order of ours. */
export interface SelfRollback {
  readonly type: 'selfRollback';
  readonly by: 'agent' | 'guardian';
  readonly succeeded: boolean;
  readonly fence: number;
  readonly phasesMs: Readonly<Record<string, number>>;
  /** Checks ran after it and were green. */
  readonly isGreen: boolean;
  /** What was taken away is not back all the same. */
  readonly isDrained?: boolean;
}

export type HostRunEvent =
  | { readonly type: 'start' }
  /** Another run holds the host. */
  | { readonly type: 'occupied' }
  /** Its wave has begun, and a group that it belongs to has no budget left. */
  | { readonly type: 'held'; readonly hold: Hold }
  | { readonly type: 'delivered'; readonly step: OrderStep; readonly attempt: number }
  | { readonly type: 'progress'; readonly step: OrderStep; readonly attempt: number }
  | { readonly type: 'heard' }
  | { readonly type: 'back'; readonly knowsOpen: boolean }
  | { readonly type: 'clock' }
  | { readonly type: 'cancel' }
  | { readonly type: 'lock' }
  | { readonly type: 'unlock' }
  | { readonly type: 'windowOver' }
  | StepResult
  | SelfRollback;

export type Effect =
  | {
      readonly type: 'transition';
      readonly from: HostRunState;
      readonly to: HostRunState;
      readonly cause: HostRunCause;
    }
  /** Give this order under a new command. */
  | { readonly type: 'send'; readonly step: OrderStep; readonly attempt: number }
  /** Give the same command once more: the agent's journal answers for what it has done. */
  | { readonly type: 'redeliver'; readonly step: OrderStep; readonly attempt: number }
  | { readonly type: 'decide'; readonly code: DecisionCode; readonly values: Decision['values'] };

export interface Decided {
  readonly state: HostRun;
  readonly effects: readonly Effect[];
}

export function isTerminal(state: HostRunState): boolean {
  return terminalHostRunStates.includes(state);
}

const beforeChange: readonly HostRunState[] = [
  'planned',
  'preflight',
  'guarding',
  'guarded',
  'downloading',
  'draining',
];

/** True while nothing on the host has been changed by this run, whatever happens to the open order. */
export function isBeforeChange(run: HostRun): boolean {
  const state = run.lostIn ?? run.state;
  const { patch } = run.outcomes;
  if (state === 'undraining') return patch === 'not_started' || patch === 'not_installed';
  return beforeChange.includes(state);
}

/** A host run that waits for its wave. */
export function plannedHostRun(terms: Terms, fence: number, nowMs: number): HostRun {
  return {
    terms,
    state: 'planned',
    sinceMs: nowMs,
    lostIn: null,
    fence,
    open: null,
    again: null,
    attempts: {},
    answered: [],
    outcomes: {
      patch: 'not_started',
      restart: 'unknown',
      verification: 'not_run',
      guard: 'none',
    },
    stop: null,
    restartRequired: null,
    restartsAtMs: [],
    rounds: 0,
    totalByMs: terms.notAfterMs - terms.reserveMs,
    lastHeardAtMs: nowMs,
    detectedAtMs: null,
    rollbackSeconds: null,
    startedAtMs: null,
    endedAtMs: null,
  };
}
