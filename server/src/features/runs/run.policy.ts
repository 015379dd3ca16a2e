import { mayMoveRun, type RunCause } from '#contract/run-transitions.ts';
import type { Decision, HostRunState, RunState } from '#contract/runs.ts';
import { isTerminal } from './host-run.model.ts';
import { waveOf, type WaveMember } from './wave.policy.ts';

/** What the planner needs to know about a run. Waves are in order; each holds at least one host. */
export interface RunFacts {
  readonly state: RunState;
  /** The `release.approved` entry is sealed: without it nothing starts. */
  readonly sealed: boolean;
  readonly notBeforeMs: number;
  /** No host starts after this. */
  readonly startByMs: number;
  readonly pauseS: number;
  readonly failureThresholdPercent: number;
  /** The tenant or this run is under an emergency stop. */
  readonly locked: boolean;
  /** People said "go on" after the threshold stopped the run behind this wave; 0 when never. */
  readonly acceptedWave: number;
  /** The freeze that holds hosts of this run now; freezes always win. */
  readonly frozen: HoldingFreeze | null;
  /** The freeze of which it was said that the run waits, so that it is said once; null when none. */
  readonly saidFreezeId: string | null;
  /** An update in quarantine that hosts which have not begun would install; null when there is none. */
  readonly quarantined: QuarantinedUpdate | null;
  readonly members: readonly WaveMember[];
}

export interface QuarantinedUpdate {
  readonly name: string;
  readonly version: string;
  /** Hosts that would install it. */
  readonly hosts: number;
}

export interface HoldingFreeze {
  readonly freezeId: string;
  readonly name: string;
  readonly endMs: number;
}

/** What a window says about its end. */
export interface Limits {
  /** No host starts after this. */
  readonly startBy: Date;
  /** No installation and no restart begins after this. */
  readonly changeBy: Date;
}

const maxReserveMs = 10 * 60_000;
/** A freeze may be lifted before its end: a run that waits looks again after this. */
const frozenLookMs = 30_000;

/** For a time that comes from no window: no change starts in its last tenth, ten minutes at most. */
export function limitsOf(notBefore: Date, notAfter: Date): Limits {
  const reserveMs = Math.min(maxReserveMs, (notAfter.getTime() - notBefore.getTime()) / 10);
  const by = new Date(notAfter.getTime() - reserveMs);
  return { startBy: by, changeBy: by };
}

/** How often a host that waits for a group looks again. */
const holdLookMs = 2_000;

export type RunEffect =
  | { readonly type: 'transition'; readonly from: RunState; readonly to: RunState }
  | { readonly type: 'startWave'; readonly wave: number; readonly hostRunIds: readonly string[] }
  | { readonly type: 'miss'; readonly hostRunIds: readonly string[] }
  | { readonly type: 'decide'; readonly code: Decision['code']; readonly values: Decision['values'] };

/** True for an end that a wave may count as well done. */
export function endedWell(state: HostRunState): boolean {
  return state === 'committed';
}

/** True while the run is not at an end. */
export function isLive(state: RunState): boolean {
  return ['scheduled', 'running', 'paused', 'stopping'].includes(state);
}

/** A transition that the table lists; any other is a bug and throws. */
function moveRun(from: RunState, to: RunState, cause: RunCause): RunEffect {
  if (!mayMoveRun(from, to, cause)) {
    throw new Error(`illegal transition of a run: ${from} to ${to} because of ${cause}`);
  }
  return { type: 'transition', from, to };
}

function endRun(facts: RunFacts): RunEffect {
  const { state, members } = facts;
  if (state === 'stopping') return moveRun(state, 'cancelled', 'stopped');
  if (state === 'scheduled') return moveRun(state, 'expired', 'never_started');
  return members.every((member) => endedWell(member.state))
    ? moveRun(state, 'completed', 'all_ended_well')
    : moveRun(state, 'completed_with_failures', 'some_failed');
}

/** Share of a wave's hosts that ended and did not end well, percent of all its hosts. */
function failedPercent(members: readonly WaveMember[]): number {
  const bad = members.filter(({ state }) => isTerminal(state) && !endedWell(state)).length;
  return (bad / members.length) * 100;
}

function windowIsOver(facts: RunFacts, nowMs: number): boolean {
  return nowMs >= facts.startByMs;
}

/** The first wave that has not ended, and the instant at which it may start. */
function nextWave(
  facts: RunFacts,
): { wave: number; members: readonly WaveMember[]; startsAtMs: number } | null {
  const waves = [...new Set(facts.members.map(({ wave }) => wave))].sort((a, b) => a - b);
  let startsAtMs = facts.notBeforeMs;
  for (const wave of waves) {
    const members = waveOf(facts.members, wave);
    const open = members.filter(({ state }) => !isTerminal(state));
    if (open.length > 0) return { wave, members, startsAtMs };
    const lastEndMs = Math.max(...members.map(({ endedAtMs }) => endedAtMs ?? 0));
    startsAtMs = Math.max(startsAtMs, lastEndMs + facts.pauseS * 1000);
  }
  return null;
}

function thresholdBroken(facts: RunFacts): { wave: number; percent: number } | null {
  const waves = [...new Set(facts.members.map(({ wave }) => wave))];
  for (const wave of waves.filter((number) => number > facts.acceptedWave)) {
    const percent = failedPercent(waveOf(facts.members, wave));
    if (percent > facts.failureThresholdPercent) return { wave, percent: Math.round(percent) };
  }
  return null;
}

/** A run waits for the end of a freeze; that it does is said once for each freeze. */
function waitForThaw({ frozen, saidFreezeId }: RunFacts, hosts: number): RunEffect[] | null {
  if (frozen === null) return null;
  if (frozen.freezeId === saidFreezeId) return [];
  const until = new Date(frozen.endMs).toISOString();
  const values = { freeze: frozen.name, freezeId: frozen.freezeId, until, hosts };
  return [{ type: 'decide', code: 'frozen', values }];
}

function advanceRunning(facts: RunFacts, nowMs: number): RunEffect[] {
  const planned = facts.members.filter(({ state }) => state === 'planned');
  if (facts.locked) {
    return [
      { type: 'decide', code: 'stopped_by_lock', values: {} },
      moveRun('running', 'paused', 'emergency_stop'),
    ];
  }
  if (planned.length === 0) return [];
  const broken = thresholdBroken(facts);
  if (broken !== null) {
    return [
      { type: 'decide', code: 'threshold_paused', values: broken },
      moveRun('running', 'paused', 'too_many_failures'),
    ];
  }
  if (facts.quarantined !== null) {
    return [
      { type: 'decide', code: 'quarantine_paused', values: { ...facts.quarantined } },
      moveRun('running', 'paused', 'update_quarantined'),
    ];
  }
  const next = nextWave(facts);
  if (next === null || next.startsAtMs > nowMs) return [];
  const waiting = next.members.filter(({ state }) => state === 'planned').map(({ id }) => id);
  if (waiting.length === 0) return [];
  const waits = waitForThaw(facts, planned.length);
  if (waits !== null) return waits;
  const start: RunEffect = { type: 'startWave', wave: next.wave, hostRunIds: waiting };
  // A rest of a wave, after a crash, a retry or a wait for a group, is no new wave.
  if (waiting.length < next.members.length || next.members.some(({ held }) => held === true)) return [start];
  return [
    { type: 'decide', code: 'wave_started', values: { wave: next.wave, hosts: waiting.length } },
    start,
  ];
}

/** What time and the hosts' states make of a run. The same facts at the same instant give the same effects. */
export function decideRun(facts: RunFacts, nowMs: number): readonly RunEffect[] {
  if (!isLive(facts.state)) return [];
  if (facts.members.every(({ state }) => isTerminal(state))) {
    return [endRun(facts)];
  }
  const planned = facts.members.filter(({ state }) => state === 'planned').map(({ id }) => id);
  if (windowIsOver(facts, nowMs) && planned.length > 0) {
    const { frozen } = facts;
    return [
      frozen === null
        ? { type: 'decide', code: 'window_over', values: { hosts: planned.length } }
        : { type: 'decide', code: 'missed_frozen', values: { hosts: planned.length, freeze: frozen.name } },
      { type: 'miss', hostRunIds: planned },
    ];
  }
  if (facts.state === 'scheduled') {
    if (!facts.sealed || facts.locked || nowMs < facts.notBeforeMs) return [];
    const waits = waitForThaw(facts, planned.length);
    if (waits !== null) return waits;
    return [
      moveRun('scheduled', 'running', 'window_opened'),
      ...advanceRunning({ ...facts, state: 'running' }, nowMs),
    ];
  }
  return facts.state === 'running' ? advanceRunning(facts, nowMs) : [];
}

/** The next instant at which time alone changes the run; null when it waits for hosts or people. */
export function runDeadline(facts: RunFacts, nowMs: number): number | null {
  if (!isLive(facts.state)) return null;
  const planned = facts.members.some(({ state }) => state === 'planned');
  const { frozen, startByMs } = facts;
  if (facts.state === 'scheduled' && facts.notBeforeMs > nowMs) return facts.notBeforeMs;
  if (!planned) return facts.state === 'scheduled' ? Math.min(nowMs + 1000, startByMs) : null;
  const waitsForThaw = frozen !== null && facts.state !== 'paused' && facts.state !== 'stopping';
  if (waitsForThaw && facts.sealed) return Math.min(frozen.endMs, startByMs, nowMs + frozenLookMs);
  if (facts.state === 'scheduled') return Math.min(nowMs + 1000, startByMs);
  const next = facts.state === 'running' ? nextWave(facts) : null;
  // Somebody of a wave under way has not begun: who is down is looked at again soon.
  if (next !== null && next.startsAtMs <= nowMs && next.members.some(({ state }) => state === 'planned'))
    return Math.min(nowMs + holdLookMs, startByMs);
  return next !== null && next.startsAtMs > nowMs ? Math.min(next.startsAtMs, startByMs) : startByMs;
}
