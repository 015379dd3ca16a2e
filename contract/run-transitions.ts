import { hostRunStates, runStates, type HostRunState, type RunState } from '#contract/runs.ts';

/**
 * Why a host run enters another state, in words for people who operate it. Where a code of a decision says it, the
 * cause bears that code.
 */
export const hostRunCauseWords = {
  wave_started: 'its wave began, its groups let it go, and no other run holds the host',
  in_other_run: 'another run holds the host',
  step_succeeded: 'the host signed that the step succeeded',
  preflight_failed: 'a condition that must hold before anything is done does not hold',
  guard_failed: 'no checkpoint could be taken',
  download_failed: 'the packages could not be fetched and verified',
  drain_failed: 'its work could not be taken away in good order',
  brought_back: 'its work is back',
  undrain_failed: 'its work could not be brought back',
  install_failed: 'the installation failed, or was begun too often',
  restart_not_proven: 'no other boot identity was seen, or the host restarted too often already',
  restart_not_needed: 'no restart is needed',
  restart_skipped_by_policy: 'a restart is needed, and the policy gives none',
  restart_deferred: 'a restart is needed, and the window leaves no time for it',
  check_failed: 'a health check is red, or was not run',
  commit_confirmed: 'the host signed that it keeps the new state',
  hard_stop: 'the installation ended after the hard stop of its window',
  refused_by_agent: 'the host refused the order',
  indeterminate: 'nobody can say whether the step happened',
  agent_silent: 'nothing was heard from the host for too long',
  agent_back: 'the host was heard again',
  clock_expired: 'the total clock or the progress clock ran out',
  checkpoint_held: 'the host holds a checkpoint',
  no_checkpoint: 'there is no checkpoint to go back to',
  rolled_back: 'the host signed that it went back as ordered',
  rollback_failed: 'the way back failed',
  agent_reverted: 'the agent put the host back by itself',
  silence_reverted: 'the guardian put the host back because nobody confirmed',
  late_truth: 'the host said later that it had gone back after all',
  cancelled_by_person: 'a person cancelled the run',
  stopped_by_lock: 'the emergency stop is closed',
  window_over: 'the window leaves no time for a change',
} as const;
export type HostRunCause = keyof typeof hostRunCauseWords;
export const hostRunCauses = Object.keys(hostRunCauseWords) as readonly HostRunCause[];

type Moves<State extends string, Cause extends string> = Readonly<
  Record<State, Readonly<Partial<Record<State, readonly Cause[]>>>>
>;

const reverted = ['agent_reverted', 'silence_reverted'] as const;
const stopped = ['cancelled_by_person', 'stopped_by_lock'] as const;
const back = ['agent_back'] as const;

/** Every allowed transition of a host run with everything that may cause it: the engine refuses any other. */
export const hostRunTransitions: Moves<HostRunState, HostRunCause> = {
  planned: {
    preflight: ['wave_started'],
    cancelled: stopped,
    missed: ['window_over'],
    superseded: ['in_other_run'],
  },
  preflight: {
    guarding: ['step_succeeded'],
    failed: ['preflight_failed', 'refused_by_agent', 'clock_expired'],
    cancelled: stopped,
    missed: ['window_over'],
    agent_lost: ['agent_silent'],
  },
  guarding: {
    guarded: ['step_succeeded'],
    failed: [
      'guard_failed',
      'refused_by_agent',
      'clock_expired',
      'window_over',
      'rollback_failed',
      ...reverted,
    ],
    cancelled: stopped,
    agent_lost: ['agent_silent'],
  },
  guarded: {
    downloading: ['step_succeeded', 'clock_expired'],
    failed: ['rollback_failed', ...reverted],
    cancelled: stopped,
    missed: ['window_over'],
  },
  downloading: {
    draining: ['step_succeeded'],
    installing: ['step_succeeded'],
    failed: [
      'download_failed',
      'install_failed',
      'refused_by_agent',
      'clock_expired',
      'rollback_failed',
      ...reverted,
    ],
    cancelled: stopped,
    missed: ['window_over'],
    agent_lost: ['agent_silent'],
  },
  draining: {
    installing: ['step_succeeded'],
    undraining: ['drain_failed', 'clock_expired', 'window_over', ...stopped],
    failed: ['refused_by_agent', 'clock_expired', 'rollback_failed', ...reverted],
    cancelled: stopped,
    missed: ['window_over'],
    agent_lost: ['agent_silent'],
  },
  installing: {
    awaiting_restart: ['step_succeeded'],
    undraining: [
      'restart_not_needed',
      'restart_skipped_by_policy',
      'restart_deferred',
      'install_failed',
      'refused_by_agent',
      'stopped_by_lock',
      'window_over',
      'clock_expired',
    ],
    verifying: ['restart_not_needed', 'restart_skipped_by_policy', 'restart_deferred'],
    failed: ['install_failed', 'refused_by_agent', 'stopped_by_lock', 'window_over', 'clock_expired'],
    rollback_decision: ['install_failed', 'indeterminate', 'hard_stop', 'clock_expired', 'rollback_failed'],
    rolled_back: reverted,
    agent_lost: ['agent_silent'],
  },
  awaiting_restart: {
    restarting: ['step_succeeded', 'clock_expired'],
    rollback_decision: ['restart_not_proven', 'rollback_failed'],
    rolled_back: reverted,
  },
  restarting: {
    undraining: ['step_succeeded', 'restart_not_needed'],
    verifying: ['step_succeeded', 'restart_not_needed'],
    rollback_decision: ['restart_not_proven', 'clock_expired', 'rollback_failed'],
    rolled_back: reverted,
    agent_lost: ['agent_silent'],
  },
  undraining: {
    verifying: ['step_succeeded'],
    failed: ['brought_back', 'undrain_failed', 'rollback_failed', ...reverted],
    cancelled: ['brought_back'],
    missed: ['brought_back'],
    rollback_decision: ['undrain_failed', 'rollback_failed'],
    rolled_back: reverted,
    agent_lost: ['agent_silent'],
  },
  verifying: {
    committing: ['step_succeeded'],
    rollback_decision: ['check_failed', 'clock_expired', 'rollback_failed'],
    rolled_back: reverted,
    agent_lost: ['agent_silent'],
  },
  committing: {
    committed: ['commit_confirmed'],
    rollback_decision: ['indeterminate', 'clock_expired', 'rollback_failed'],
    rolled_back: reverted,
    agent_lost: ['agent_silent'],
  },
  committed: {},
  rollback_decision: {
    rolling_back: ['checkpoint_held'],
    undraining: ['no_checkpoint'],
    failed: ['no_checkpoint'],
    rolled_back: reverted,
    rollback_failed: ['rollback_failed'],
  },
  rolling_back: {
    rolled_back: ['rolled_back', ...reverted],
    rollback_failed: ['rollback_failed', 'clock_expired'],
    agent_lost: ['agent_silent'],
  },
  rolled_back: {},
  rollback_failed: { rolled_back: ['late_truth', ...reverted] },
  agent_lost: {
    preflight: back,
    guarding: back,
    downloading: back,
    draining: back,
    installing: back,
    restarting: back,
    undraining: back,
    verifying: back,
    committing: back,
    rolling_back: back,
    failed: ['agent_silent', 'indeterminate', 'window_over'],
    rollback_failed: ['indeterminate'],
    cancelled: stopped,
  },
  cancelled: {},
  missed: {},
  failed: {},
  superseded: {},
};

export const terminalHostRunStates = hostRunStates.filter(
  (state) => Object.keys(hostRunTransitions[state]).length === 0 || state === 'rollback_failed',
);

/** True when the table lists the transition with this cause. */
export function mayMoveHostRun(from: HostRunState, to: HostRunState, cause: HostRunCause): boolean {
  return hostRunTransitions[from][to]?.includes(cause) ?? false;
}

/** Why a run enters another state, in words for people who operate it. */
export const runCauseWords = {
  window_opened: 'its window began, its approval is sealed, and no freeze or emergency stop holds it',
  never_started: 'its window ended before any host began',
  too_many_failures: 'more hosts of a wave than the policy allows did not end well',
  update_quarantined: 'an update that it would install is in quarantine',
  emergency_stop: 'the emergency stop is closed',
  paused_by_person: 'a person paused it',
  resumed_by_person: 'a person lets it go on, past what had stopped it',
  cancelled_by_person: 'a person cancelled it',
  host_retried: 'a person tries a host again',
  all_ended_well: 'every host ended well',
  some_failed: 'every host ended, not all of them well',
  stopped: 'every host ended after the cancellation',
} as const;
export type RunCause = keyof typeof runCauseWords;

const ended = { completed: ['all_ended_well'], completed_with_failures: ['some_failed'] } as const;

/** Every allowed transition of a run with everything that may cause it: engine and service refuse any other. */
export const runTransitions: Moves<RunState, RunCause> = {
  scheduled: { running: ['window_opened'], expired: ['never_started'], stopping: ['cancelled_by_person'] },
  running: {
    paused: ['too_many_failures', 'update_quarantined', 'emergency_stop', 'paused_by_person'],
    stopping: ['cancelled_by_person'],
    ...ended,
  },
  paused: { running: ['resumed_by_person'], stopping: ['cancelled_by_person'], ...ended },
  stopping: { cancelled: ['stopped'] },
  completed: {},
  completed_with_failures: { running: ['host_retried'] },
  cancelled: {},
  expired: {},
};

/** True when the table lists the transition with this cause. */
export function mayMoveRun(from: RunState, to: RunState, cause: RunCause): boolean {
  return runTransitions[from][to]?.includes(cause) ?? false;
}

/** What a person may do with a run, where it leads and under which cause. */
export const runActionMoves = {
  pause: { to: 'paused', cause: 'paused_by_person' },
  resume: { to: 'running', cause: 'resumed_by_person' },
  cancel: { to: 'stopping', cause: 'cancelled_by_person' },
} as const satisfies Record<string, { readonly to: RunState; readonly cause: RunCause }>;

function statesFor(action: keyof typeof runActionMoves): readonly RunState[] {
  const { to, cause } = runActionMoves[action];
  return runStates.filter((from) => mayMoveRun(from, to, cause));
}

/** One table serves the server's rule and the button's disabled reason. */
export const runActions = {
  pause: statesFor('pause'),
  resume: statesFor('resume'),
  cancel: statesFor('cancel'),
} as const;
