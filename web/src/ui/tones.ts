import type { ExceptionState } from '#contract/exceptions.ts';
import type { AgentSummary, HostSummary } from '#contract/fleet.ts';
import type { EmergencyReport, Replacement } from '#contract/followups.ts';
import type { Notice } from '#contract/notices.ts';
import type { Plan } from '#contract/plans.ts';
import type { ReleaseSummary } from '#contract/releases.ts';
import type { HostRunState, RunDetail, RunState, StepView } from '#contract/runs.ts';

/** What a state means to the reader; each tone has its own hue, icon shape and place in the order of worry. */
export type Tone = 'done' | 'running' | 'waiting' | 'needs' | 'failed' | 'reverted' | 'unknown';

export const toneOf = {
  host: {
    up_to_date: 'done',
    updates_pending: 'waiting',
    security_pending: 'needs',
    restart_required: 'needs',
    in_run: 'running',
    attention: 'failed',
    unknown: 'unknown',
  } satisfies Record<HostSummary['status'], Tone>,
  agent: {
    connected: 'done',
    silent: 'unknown',
    never_connected: 'waiting',
    revoked: 'failed',
    clone_suspected: 'failed',
  } satisfies Record<AgentSummary['state'], Tone>,
  plan: {
    planned: 'waiting',
    release_drafted: 'needs',
    released: 'done',
    expired: 'waiting',
  } satisfies Record<Plan['state'], Tone>,
  release: {
    awaiting_signatures: 'needs',
    approved: 'done',
    refused: 'failed',
    expired: 'waiting',
  } satisfies Record<ReleaseSummary['state'], Tone>,
  exception: {
    requested: 'needs',
    approved: 'done',
    refused: 'failed',
    revoked: 'waiting',
    expired: 'waiting',
  } satisfies Record<ExceptionState, Tone>,
  notice: {
    waiting: 'waiting',
    sending: 'running',
    sent: 'done',
    partly_sent: 'needs',
    failed: 'failed',
    nobody: 'needs',
    mail_off: 'needs',
    superseded: 'waiting',
  } satisfies Record<Notice['state'], Tone>,
  noticeMail: {
    waiting: 'waiting',
    sending: 'running',
    sent: 'done',
    failed: 'failed',
    withdrawn: 'waiting',
  } satisfies Record<Notice['mails'][number]['state'], Tone>,
  replacement: {
    pending: 'running',
    asks: 'needs',
    replanned: 'needs',
    skipped: 'waiting',
  } satisfies Record<Replacement['state'], Tone>,
  report: {
    not_yet: 'running',
    owed: 'needs',
    overdue: 'failed',
    written: 'done',
  } satisfies Record<EmergencyReport['state'], Tone>,
  run: {
    scheduled: 'waiting',
    running: 'running',
    paused: 'needs',
    stopping: 'needs',
    completed: 'done',
    completed_with_failures: 'failed',
    cancelled: 'waiting',
    expired: 'waiting',
  } satisfies Record<RunState, Tone>,
  hostRun: {
    planned: 'waiting',
    preflight: 'running',
    guarding: 'running',
    guarded: 'running',
    downloading: 'running',
    draining: 'running',
    installing: 'running',
    awaiting_restart: 'running',
    restarting: 'running',
    undraining: 'running',
    verifying: 'running',
    committing: 'running',
    committed: 'done',
    rollback_decision: 'reverted',
    rolling_back: 'reverted',
    rolled_back: 'reverted',
    rollback_failed: 'failed',
    agent_lost: 'unknown',
    cancelled: 'waiting',
    missed: 'waiting',
    failed: 'failed',
    superseded: 'waiting',
  } satisfies Record<HostRunState, Tone>,
  step: {
    queued: 'waiting',
    delivered: 'waiting',
    running: 'running',
    succeeded: 'done',
    failed: 'failed',
    refused: 'failed',
    timeout: 'failed',
    cancelled: 'waiting',
    indeterminate: 'unknown',
  } satisfies Record<StepView['state'], Tone>,
  wave: {
    waiting: 'waiting',
    running: 'running',
    pausing: 'needs',
    done: 'done',
    stopped: 'failed',
  } satisfies Record<RunDetail['waves'][number]['state'], Tone>,
} as const;

export type StatusKind = keyof typeof toneOf;

export const toneInk: Readonly<Record<Tone, string>> = {
  done: 'text-done',
  running: 'text-running',
  waiting: 'text-waiting',
  needs: 'text-needs',
  failed: 'text-failed',
  reverted: 'text-reverted',
  unknown: 'text-unknown',
};

export const toneSoft: Readonly<Record<Tone, string>> = {
  done: 'bg-done-soft',
  running: 'bg-running-soft',
  waiting: 'bg-waiting-soft',
  needs: 'bg-needs-soft',
  failed: 'bg-failed-soft',
  reverted: 'bg-reverted-soft',
  unknown: 'bg-unknown-soft hatched',
};
