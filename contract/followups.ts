import { Type, type Static } from 'typebox';
import { defineRoute } from '#contract/route.ts';
import { Count, Instant, Line, OneOf, OrNull, Prose, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';
import { missedRunPolicies } from '#contract/windows.ts';

/** Until how long before its beginning a released run may be postponed, days. */
export const postponeDays = 3;
/** How long after its end an emergency may stay without a report, hours. */
export const reportHours = 24;

/** What takes the place of a run that missed its window, or that was postponed. */
export const Replacement = Strict({
  runId: Uuid,
  runNumber: Type.Integer(),
  title: Line(160),
  cause: OneOf(['missed', 'postponed']),
  /** What the window says of a missed run; null for a postponement. */
  policy: OrNull(OneOf(missedRunPolicies)),
  /** `asks`: a person decides. `replanned`: there is a new plan, which people must release. */
  state: OneOf(['pending', 'asks', 'replanned', 'skipped']),
  /** Hosts on which nothing was done. */
  hosts: Count,
  /** Code of the error that kept the server from planning the next occurrence. */
  obstacle: OrNull(Line(60)),
  nextPlanId: OrNull(Uuid),
  reason: OrNull(Prose(500)),
  decidedByName: OrNull(Line(200)),
  decidedAt: OrNull(Instant),
});

/** An emergency is documented afterwards: what was done and why it could not wait. */
export const EmergencyReport = Strict({
  runId: Uuid,
  runNumber: Type.Integer(),
  title: Line(160),
  reason: Prose(2000),
  /** `not_yet`: the run goes on. `overdue`: owed for longer than 24 h after the end. */
  state: OneOf(['not_yet', 'owed', 'overdue', 'written']),
  dueAt: OrNull(Instant),
  text: OrNull(Prose(8000)),
  writtenByName: OrNull(Line(200)),
  writtenAt: OrNull(Instant),
});

export const RunFollowUp = Strict({
  replacement: OrNull(Replacement),
  emergency: OrNull(EmergencyReport),
  /** Last instant at which the run may be postponed; null when it may not be at all. */
  postponableUntil: OrNull(Instant),
});

const runParams = Strict({ tenantId: Uuid, runId: Uuid });
const reason = Type.String({ ...Prose(500), minLength: 1 });

export const followUpRoutes = {
  listFollowUps: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/follow-ups',
    permission: 'runs.read',
    audit: null,
    summary:
      'What waits for a person after runs: missed ones to decide on, emergencies to document; 100 of each at most',
    params: tenantParams,
    response: Strict({ missed: Type.Array(Replacement), emergencies: Type.Array(EmergencyReport) }),
  }),
  getRunFollowUp: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/runs/:runId/follow-up',
    permission: 'runs.read',
    audit: null,
    summary:
      'What takes the place of a run, the report that an emergency owes, and until when it may be postponed',
    params: runParams,
    response: RunFollowUp,
  }),
  answerMissedRun: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/runs/:runId/missed-answer',
    permission: 'plans.create',
    audit: 'missed_run.answered',
    summary: 'Decide on a run that missed its window: plan the next occurrence, or leave it',
    params: runParams,
    body: Strict({ answer: OneOf(['next_occurrence', 'skip']), reason }),
    response: RunFollowUp,
    errors: ['transition_refused', 'nothing_to_install', 'plan_impossible', 'frozen'],
  }),
  postponeRun: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/runs/:runId/postponement',
    permission: 'runs.control',
    audit: 'run.postponed',
    summary:
      'Move a released run to the next occurrence of its window, until 3 days before: the run is cancelled, and a new plan waits for release',
    params: runParams,
    body: Strict({ reason }),
    response: RunFollowUp,
    status: 201,
    errors: ['transition_refused', 'nothing_to_install', 'plan_impossible', 'frozen'],
  }),
  writeEmergencyReport: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/runs/:runId/emergency-report',
    permission: 'runs.control',
    audit: 'emergency_report.written',
    summary: 'Document an emergency after its end; written once',
    params: runParams,
    body: Strict({ text: Type.String({ ...Prose(8000), minLength: 1 }) }),
    response: RunFollowUp,
    status: 201,
    errors: ['transition_refused'],
  }),
};

export type Replacement = Static<typeof Replacement>;
export type EmergencyReport = Static<typeof EmergencyReport>;
export type RunFollowUp = Static<typeof RunFollowUp>;
