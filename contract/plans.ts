import { Type, type Static } from 'typebox';
import { EndedExceptions, LeftOutUpdate } from '#contract/exceptions.ts';
import { PendingUpdate } from '#contract/inventory.ts';
import { defineRoute, NoContent, Page, pageQuery } from '#contract/route.ts';
import {
  Count,
  HostName,
  Instant,
  Line,
  OneOf,
  OrNull,
  Prose,
  Sha256Hex,
  Strict,
  Uuid,
} from '#contract/schema.ts';
import { tenantParams, TimeZone } from '#contract/tenants.ts';
import { orderSteps } from '#contract/trust.ts';
import { DrainedUnits, HealthCheck, HookWithinS, PinnedPackage } from '#contract/verbs.ts';

/** What to install, how to guard it, when to restart and how to tell that the host is well. */
export const MaintenancePolicyBody = Strict({
  name: Line(120),
  description: Type.Optional(Prose(1000)),
  updates: Strict({
    select: OneOf(['security', 'all']),
    excludePackages: Type.Array(Type.String({ pattern: '^[a-z0-9*][a-z0-9+.*-]{0,127}$' }), {
      maxItems: 200,
    }),
  }),
  guard: Strict({
    /** `required`: a host that can offer no checkpoint is left out of the plan, with the reason. */
    mode: OneOf(['required', 'best_effort']),
    minFreeGiB: Type.Number({ minimum: 0, maximum: 10_000 }),
    keepHours: Type.Integer({ minimum: 0, maximum: 8760 }),
  }),
  restart: OneOf(['if_required', 'always', 'never']),
  /** How a host's work is taken away before it is changed, and brought back after it; absent: nothing is taken away. */
  drain: Type.Optional(Strict({ hookWithinS: Type.Optional(HookWithinS), units: DrainedUnits })),
  health: Strict({
    checks: Type.Array(HealthCheck, { maxItems: 32 }),
    withinS: Type.Integer({ minimum: 5, maximum: 900 }),
  }),
  waves: Strict({
    /** Hosts in the first wave, and in each later one. */
    firstSize: Type.Integer({ minimum: 1, maximum: 1000 }),
    size: Type.Integer({ minimum: 1, maximum: 1000 }),
    pauseS: Type.Integer({ minimum: 0, maximum: 86_400 }),
    /** The run pauses when more than this share of a wave's hosts did not end well, percent. */
    failureThresholdPercent: Type.Integer({ minimum: 0, maximum: 100 }),
  }),
  commitConfirm: Strict({
    confirmWithinS: Type.Integer({ minimum: 30, maximum: 86_400 }),
    silentS: Type.Integer({ minimum: 15, maximum: 86_400 }),
  }),
});
// One strict object: an intersection with a strict body would refuse every member that it adds.
export const MaintenancePolicy = Strict({
  ...MaintenancePolicyBody.properties,
  id: Uuid,
  createdAt: Instant,
  updatedAt: Instant,
  version: Type.Integer(),
});

/**
 * What somebody wants done, and when: between two instants, or in one of several windows. The server then takes the
 * earliest coming time of these windows into which the plan fits, freezes taken out.
 */
export const PlanRequest = Strict({
  policyId: Uuid,
  title: Line(160),
  hostIds: Type.Array(Uuid, { minItems: 1, maxItems: 10_000, uniqueItems: true }),
  notBefore: Type.Optional(Instant),
  notAfter: Type.Optional(Instant),
  windowIds: Type.Optional(Type.Array(Uuid, { minItems: 1, maxItems: 10, uniqueItems: true })),
  /** It cannot wait for a window: a time within 24 h is named, people are told at once, and a report is owed afterwards. */
  emergency: Type.Optional(
    Strict({
      reason: Type.String({ ...Prose(500), minLength: 1 }),
      /** How many hosts it changes, said by the requester when there are more than ten. */
      confirmedHosts: Type.Optional(Count),
    }),
  ),
});

/** Above so many hosts an emergency must be confirmed by typing their number. */
export const confirmAboveHosts = 10;

const WindowWords = Strict({
  windowId: Uuid,
  name: Line(120),
  startsAt: Instant,
  endsAt: Instant,
  /** What a clock on the wall of the window's zone shows: 2026-11-21T20:00+01:00. */
  startsLocal: Line(40),
  endsLocal: Line(40),
});

/** Limits of a window, in the order in which a run meets them. */
export const timeLimits = ['start_cut_off', 'reboot_reserve', 'window_end', 'hard_stop'] as const;

/** When the plan would run and why then. */
export const PlanTiming = Strict({
  /** The window that was chosen; null for a time that the requester gave. */
  window: OrNull(
    Strict({
      ...WindowWords.properties,
      timeZone: TimeZone,
      /** No host starts after this. */
      startBy: Instant,
      /** No installation and no restart begins after this. */
      changeBy: Instant,
    }),
  ),
  /**
   * Expected seconds for all waves with their pauses: low is P50, high P95. `runs` former host runs say so;
   * for `hostsOnLimits` hosts nothing is known and the time limits of the steps stand for it. Null when nothing is to be done.
   */
  expectedSeconds: OrNull(
    Strict({
      low: Count,
      high: Count,
      runs: Type.Optional(Count),
      hostsOnLimits: Type.Optional(Count),
    }),
  ),
  /** `fits`: P95 does. `unknown`: only limits are known of some host, and by them it need not. */
  fit: OneOf(['fits', 'may_not_fit', 'does_not_fit', 'unknown']),
  /** The first of the window's limits that P95 would pass; absent when it passes none. */
  limit: Type.Optional(OneOf(timeLimits)),
  /** Occurrences that were looked at, in order, and what became of each. */
  considered: Type.Array(
    Strict({
      ...WindowWords.properties,
      code: OneOf(['chosen', 'frozen', 'does_not_fit', 'may_not_fit']),
      freezes: Type.Array(Line(120)),
    }),
  ),
});

/** Why a host is in its wave and not in the one before. */
export const placementCodes = [
  'first_free_place',
  'canary_first',
  'wave_full',
  'after_host',
  'group_order',
  'group_budget',
  'atlas_last',
] as const;

/** Why no order exists for some hosts: the plan cannot be made as it stands. */
export const orderRefusalCodes = [
  'dependency_cycle',
  'group_too_small',
  'budget_unreachable',
  'atlas_not_last',
] as const;

const Values = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]));

export const OrderRefusal = Strict({
  code: OneOf(orderRefusalCodes),
  hostIds: Type.Array(Uuid),
  values: Values,
});

/** One host in a plan. `decision` says in words why it is in or out. */
export const PlanHost = Strict({
  hostId: Uuid,
  hostname: HostName,
  siteName: Line(120),
  agentId: OrNull(Uuid),
  included: Type.Boolean(),
  /** Message key and values of the reason, for a sentence in the reader's language. */
  decision: Strict({
    code: OneOf([
      'included',
      'included_without_guard',
      'nothing_pending',
      'only_quarantined',
      'only_exempted',
      'agent_not_connected',
      'agent_revoked',
      'inventory_stale',
      'no_guard',
      'no_space',
      'in_other_run',
      'undigested_updates',
      'unsupported_platform',
      'no_order',
    ]),
    values: Values,
  }),
  wave: OrNull(Type.Integer({ minimum: 1 })),
  order: OrNull(Count),
  /** Absent for hosts that are out, and in plans of before there were groups. */
  placement: Type.Optional(Strict({ code: OneOf(placementCodes), values: Values })),
  /** 1 checkpoint, 2 uninstall, 3 restore, 0 none. */
  rollbackTier: Type.Integer({ minimum: 0, maximum: 3 }),
  packages: Type.Array(PinnedPackage),
  updates: Type.Array(PendingUpdate),
  /** Updates that the policy chooses and that are not installed, with the reason; absent when there are none. */
  leftOut: Type.Optional(Type.Array(LeftOutUpdate)),
  downloadBytes: Count,
  restart: OneOf(['yes', 'if_required', 'no']),
  checks: Type.Array(HealthCheck),
  /**
   * Expected seconds from first step to commit: low is P50, high P95, from the closest runs of which there are enough.
   * `allowances`: there are none, and the time limits of the steps stand for them. Null for hosts that are out.
   */
  expectedSeconds: OrNull(
    Strict({
      low: Count,
      high: Count,
      basis: OneOf(['host_history', 'class_history', 'fleet_history', 'allowances']),
      /** Former host runs that it rests on. */
      runs: Type.Optional(Count),
      /** Of each step alone, P50 and P95, seconds. */
      steps: Type.Optional(Type.Array(Strict({ step: OneOf(orderSteps), low: Count, high: Count }))),
    }),
  ),
});

export const PlanSummaryCounts = Strict({
  hosts: Count,
  included: Count,
  excluded: Count,
  updates: Count,
  security: Count,
  downloadBytes: Count,
  waves: Count,
  withoutGuard: Count,
});

export const PlanPreview = Strict({
  policy: MaintenancePolicy,
  title: Line(160),
  notBefore: Instant,
  notAfter: Instant,
  /** Absent in plans made before windows were. */
  timing: Type.Optional(PlanTiming),
  /** Why it cannot wait for a window; absent when it can. */
  emergency: Type.Optional(Strict({ reason: Prose(500) })),
  hosts: Type.Array(PlanHost),
  /** Not empty: no plan is made. Absent in plans of before there were groups. */
  refusals: Type.Optional(Type.Array(OrderRefusal)),
  counts: PlanSummaryCounts,
  class: OneOf(['R2']),
  /** People who must sign, other than the requester, and how many of the enrolled ones can. */
  signersNeeded: Type.Integer(),
  signersAvailable: Type.Integer(),
  warnings: Type.Array(
    Strict({
      code: OneOf([
        'too_few_signers',
        'window_short',
        'hosts_without_guard',
        'hosts_excluded',
        'updates_left_out',
        'updates_exempted',
        'exception_ends_before',
        'may_not_fit',
        'does_not_fit',
      ]),
      values: Values,
    }),
  ),
});

export const Plan = Strict({
  id: Uuid,
  title: Line(160),
  policyName: Line(120),
  sha256: Sha256Hex,
  state: OneOf(['planned', 'release_drafted', 'released', 'expired']),
  notBefore: Instant,
  notAfter: Instant,
  createdBy: Uuid,
  createdByName: Line(200),
  createdAt: Instant,
  counts: PlanSummaryCounts,
  releaseId: OrNull(Uuid),
  runId: OrNull(Uuid),
});
export const PlanDetail = Strict({ plan: Plan, preview: PlanPreview, endedExceptions: EndedExceptions });

const planParams = Strict({ tenantId: Uuid, planId: Uuid });
const policyParams = Strict({ tenantId: Uuid, policyId: Uuid });

export const planRoutes = {
  listMaintenancePolicies: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/maintenance-policies',
    permission: 'policies.read',
    audit: null,
    summary: 'Maintenance policies',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(MaintenancePolicy),
  }),
  createMaintenancePolicy: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/maintenance-policies',
    permission: 'policies.manage',
    audit: 'maintenance_policy.created',
    summary: 'Create a maintenance policy',
    params: tenantParams,
    body: MaintenancePolicyBody,
    response: MaintenancePolicy,
    status: 201,
    errors: ['already_exists'],
  }),
  getMaintenancePolicy: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/maintenance-policies/:policyId',
    permission: 'policies.read',
    audit: null,
    summary: 'One maintenance policy',
    params: policyParams,
    response: MaintenancePolicy,
  }),
  updateMaintenancePolicy: defineRoute({
    method: 'PUT',
    path: '/api/v1/tenants/:tenantId/maintenance-policies/:policyId',
    permission: 'policies.manage',
    audit: 'maintenance_policy.updated',
    ifMatch: true,
    summary: 'Change a maintenance policy; plans made before keep theirs',
    params: policyParams,
    body: MaintenancePolicyBody,
    response: MaintenancePolicy,
  }),
  removeMaintenancePolicy: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/maintenance-policies/:policyId',
    permission: 'policies.manage',
    audit: 'maintenance_policy.removed',
    summary: 'Remove a maintenance policy',
    params: policyParams,
    response: NoContent,
    status: 204,
  }),
  previewPlan: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/plan-previews',
    permission: 'plans.create',
    audit: 'plan.previewed',
    summary: 'What a plan would do, without making it',
    params: tenantParams,
    body: PlanRequest,
    response: PlanPreview,
    errors: ['policy_refused', 'nothing_to_install', 'frozen'],
  }),
  createPlan: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/plans',
    permission: 'plans.create',
    audit: 'plan.created',
    summary: 'Make an immutable plan',
    params: tenantParams,
    body: PlanRequest,
    response: PlanDetail,
    status: 201,
    errors: ['policy_refused', 'nothing_to_install', 'plan_impossible', 'frozen'],
  }),
  listPlans: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/plans',
    permission: 'plans.read',
    audit: null,
    summary: 'Plans, newest first',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(Plan),
  }),
  getPlan: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/plans/:planId',
    permission: 'plans.read',
    audit: null,
    summary: 'One plan, whole',
    params: planParams,
    response: PlanDetail,
  }),
};

export type MaintenancePolicy = Static<typeof MaintenancePolicy>;
export type MaintenancePolicyBody = Static<typeof MaintenancePolicyBody>;
export type PlanRequest = Static<typeof PlanRequest>;
export type PlanTiming = Static<typeof PlanTiming>;
export type OrderRefusal = Static<typeof OrderRefusal>;
export type PlanHost = Static<typeof PlanHost>;
export type PlanPreview = Static<typeof PlanPreview>;
export type Plan = Static<typeof Plan>;
export type PlanDetail = Static<typeof PlanDetail>;
