import { Type, type Static } from 'typebox';
import { EndedExceptions } from '#contract/exceptions.ts';
import { reaches } from '#contract/reach.ts';
import { ResultFacts, outcomes, resultCodes } from '#contract/results.ts';
import { defineRoute, Page, pageQuery } from '#contract/route.ts';
import { Count, HostName, Instant, Line, OneOf, OrNull, Prose, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';
import { orderSteps } from '#contract/trust.ts';

/** States of one host's way through a run. */
export const hostRunStates = [
  'planned',
  'preflight',
  'guarding',
  'guarded',
  'downloading',
  'draining',
  'installing',
  'awaiting_restart',
  'restarting',
  'undraining',
  'verifying',
  'committing',
  'committed',
  'rollback_decision',
  'rolling_back',
  'rolled_back',
  'rollback_failed',
  'agent_lost',
  'cancelled',
  'missed',
  'failed',
  'superseded',
] as const;
export type HostRunState = (typeof hostRunStates)[number];

export const runStates = [
  'scheduled',
  'running',
  'paused',
  'stopping',
  'completed',
  'completed_with_failures',
  'cancelled',
  'expired',
] as const;
export type RunState = (typeof runStates)[number];

/** One table serves the server's rule and the button's disabled reason; those of a run are in `run-transitions.ts`. */
export const hostRunActions = {
  /** A new attempt of the same released orders: only while the release is still in its window and nothing was changed on the host. */
  retry: ['failed', 'cancelled', 'missed'],
  /** A person says that the host is up: it no longer counts as down in its groups. */
  accept: ['failed', 'rolled_back', 'rollback_failed'],
} as const satisfies Record<string, readonly HostRunState[]>;

/** Kept apart so that the one word is computed, never guessed. */
export const HostRunOutcomes = Strict({
  patch: OneOf(['not_started', 'installed', 'partly_installed', 'not_installed', 'unknown', 'reverted']),
  restart: OneOf(['not_needed', 'pending', 'proven', 'not_proven', 'unknown']),
  verification: OneOf(['not_run', 'green', 'red', 'unknown']),
  guard: OneOf(['none', 'taken', 'used', 'kept', 'failed', 'expired']),
});

/** Why something was decided, as a message key and values. */
export const Decision = Strict({
  at: Instant,
  code: OneOf([
    'wave_started',
    'agent_silent',
    'agent_back',
    'guard_failed',
    'preflight_failed',
    'check_failed',
    'install_failed',
    'download_failed',
    'drain_failed',
    'brought_back',
    'undrain_failed',
    'restart_not_proven',
    'commit_confirmed',
    'silence_reverted',
    'agent_reverted',
    'rolled_back',
    'rollback_failed',
    'cancelled_by_person',
    'window_over',
    'threshold_paused',
    'quarantine_paused',
    'indeterminate',
    'late_truth',
    'refused_by_agent',
    'stopped_by_lock',
    'retried',
    'clock_expired',
    'restart_not_needed',
    'restart_skipped_by_policy',
    'nothing_to_do',
    'frozen',
    'missed_frozen',
    'restart_deferred',
    'hard_stop',
    'waits_for_group',
    'group_lets_none_go',
    'wait_over',
    'accepted_by_person',
  ]),
  values: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
});

export const StepView = Strict({
  step: OneOf(orderSteps),
  attempt: Type.Integer(),
  commandId: Uuid,
  state: OneOf(['queued', 'delivered', 'running', ...outcomes]),
  code: OrNull(OneOf(resultCodes)),
  detail: OrNull(Prose(4000)),
  phase: OrNull(Line(80)),
  percent: OrNull(Type.Integer()),
  facts: OrNull(ResultFacts),
  createdAt: Instant,
  startedAt: OrNull(Instant),
  endedAt: OrNull(Instant),
  /** When this step gives up, unless it ends before. */
  deadlineAt: OrNull(Instant),
});

export const HostRunSummary = Strict({
  id: Uuid,
  runId: Uuid,
  hostId: Uuid,
  hostname: HostName,
  wave: Type.Integer(),
  order: Count,
  state: OneOf(hostRunStates),
  stateSince: Instant,
  /** The state before `agent_lost`, so that people see where it was. */
  lostIn: OrNull(OneOf(hostRunStates)),
  outcomes: HostRunOutcomes,
  currentStep: OrNull(OneOf(orderSteps)),
  percent: OrNull(Type.Integer()),
  packages: Count,
  rollbackTier: Type.Integer(),
  startedAt: OrNull(Instant),
  endedAt: OrNull(Instant),
  /** When a person said that the host is up after it had not ended well. */
  acceptedAt: OrNull(Instant),
  lastHeardAt: OrNull(Instant),
  lastDecision: OrNull(Decision),
  rollbackSeconds: OrNull(Type.Number()),
});

export const HostRunDetail = Strict({
  hostRun: HostRunSummary,
  /** How the host is reached now; the audit log says of each result how it came. */
  reach: OneOf(reaches),
  steps: Type.Array(StepView),
  decisions: Type.Array(Decision),
  packages: Type.Array(Strict({ name: Line(128), from: OrNull(Line(128)), to: Line(128) })),
});

export const WaveView = Strict({
  wave: Type.Integer(),
  state: OneOf(['waiting', 'running', 'pausing', 'done', 'stopped']),
  hosts: Count,
  ended: Count,
  well: Count,
  startsAt: OrNull(Instant),
});

export const RunSummary = Strict({
  id: Uuid,
  number: Type.Integer(),
  planId: Uuid,
  releaseId: Uuid,
  title: Line(160),
  state: OneOf(runStates),
  notBefore: Instant,
  notAfter: Instant,
  startedAt: OrNull(Instant),
  endedAt: OrNull(Instant),
  hosts: Count,
  committed: Count,
  rolledBack: Count,
  failed: Count,
  waiting: Count,
  lastDecision: OrNull(Decision),
  version: Type.Integer(),
});

export const RunDetail = Strict({
  run: RunSummary,
  waves: Type.Array(WaveView),
  hostRuns: Type.Array(HostRunSummary),
  decisions: Type.Array(Decision),
  /** Exceptions for which updates were left out and that had ended when the run began, or have by now. */
  endedExceptions: EndedExceptions,
  /** Filled when the run has ended: the entry of the report, with its audit index. */
  report: OrNull(
    Strict({
      auditIndex: OrNull(Count),
      rollbackSecondsMax: OrNull(Type.Number()),
      updatesInstalled: Count,
      durationS: Count,
    }),
  ),
});

export const LogLine = Strict({
  seq: Count,
  at: Instant,
  step: OrNull(OneOf(orderSteps)),
  text: Prose(2000),
});

const runParams = Strict({ tenantId: Uuid, runId: Uuid });
const hostRunParams = Strict({ tenantId: Uuid, hostRunId: Uuid });
const WithReason = Strict({ reason: Prose(500) });

export const runRoutes = {
  listRuns: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/runs',
    permission: 'runs.read',
    audit: null,
    summary: 'Runs, newest first',
    params: tenantParams,
    query: Strict({ ...pageQuery, state: Type.Optional(OneOf(runStates)) }),
    response: Page(RunSummary),
  }),
  getRun: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/runs/:runId',
    permission: 'runs.read',
    audit: null,
    summary: 'One run with waves and hosts',
    params: runParams,
    response: RunDetail,
  }),
  getHostRun: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/host-runs/:hostRunId',
    permission: 'runs.read',
    audit: null,
    summary: 'One host in a run, step by step',
    params: hostRunParams,
    response: HostRunDetail,
  }),
  listHostRunLog: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/host-runs/:hostRunId/log',
    permission: 'runs.read',
    audit: null,
    summary: 'What the host said, line by line',
    params: hostRunParams,
    query: Strict({
      after: Type.Optional(Type.Integer({ minimum: 0 })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    }),
    response: Strict({ items: Type.Array(LogLine), lastSeq: Count }),
  }),
  listHostRuns: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/hosts/:hostId/host-runs',
    permission: 'runs.read',
    audit: null,
    summary: 'History of a host',
    params: Strict({ tenantId: Uuid, hostId: Uuid }),
    query: Strict({ ...pageQuery }),
    response: Page(HostRunSummary),
  }),
  pauseRun: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/runs/:runId/pause',
    permission: 'runs.control',
    audit: 'run.paused',
    summary: 'Start nothing new; what runs goes on',
    params: runParams,
    body: WithReason,
    response: RunSummary,
    errors: ['transition_refused'],
  }),
  resumeRun: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/runs/:runId/resume',
    permission: 'runs.control',
    audit: 'run.resumed',
    summary: 'Go on',
    params: runParams,
    body: WithReason,
    response: RunSummary,
    errors: ['transition_refused'],
  }),
  cancelRun: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/runs/:runId/cancel',
    permission: 'runs.control',
    audit: 'run.cancelled',
    summary: 'Stop each host before its next safe point',
    params: runParams,
    body: WithReason,
    response: RunSummary,
    errors: ['transition_refused'],
  }),
  acceptHostRun: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/host-runs/:hostRunId/accept',
    permission: 'runs.control',
    audit: 'host_run.accepted',
    summary: 'Say that a host is up again, so that other members of its groups may begin',
    params: hostRunParams,
    body: WithReason,
    response: HostRunSummary,
    errors: ['transition_refused'],
  }),
  retryHostRun: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/host-runs/:hostRunId/retry',
    permission: 'runs.control',
    audit: 'host_run.retried',
    summary: 'Try a host again under the same release',
    params: hostRunParams,
    body: WithReason,
    response: HostRunSummary,
    errors: ['transition_refused'],
  }),
};

export type HostRunSummary = Static<typeof HostRunSummary>;
export type HostRunDetail = Static<typeof HostRunDetail>;
export type HostRunOutcomes = Static<typeof HostRunOutcomes>;
export type RunSummary = Static<typeof RunSummary>;
export type RunDetail = Static<typeof RunDetail>;
export type Decision = Static<typeof Decision>;
export type StepView = Static<typeof StepView>;
