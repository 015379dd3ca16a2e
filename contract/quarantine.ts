import { Type, type Static } from 'typebox';
import { defineRoute, Page, pageQuery } from '#contract/route.ts';
import { Count, HostName, Instant, Line, OneOf, OrNull, Prose, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

/** When an update goes into quarantine: at so many hosts, or at such a share of its tries. */
export const QuarantineRule = Strict({
  /** Different hosts on which it failed. */
  hosts: Type.Integer({ minimum: 1, maximum: 1000 }),
  /** Share of its tries that failed, percent; counts from `percentFromTries` tries on. */
  percent: Type.Integer({ minimum: 1, maximum: 100 }),
});

/** Holds until somebody says otherwise. */
export const defaultQuarantineRule = { hosts: 2, percent: 20 } as const;
/** A share of fewer tries says nothing. */
export const percentFromTries = 5;

/** A try that failed: the host's way through its run, and why it did not end well. */
const FailedTry = Strict({ hostRunId: Uuid, hostId: Uuid, hostname: HostName, code: Line(60) });

/** An update that is not installed any more until a person lifts its quarantine. */
export const UpdateQuarantine = Strict({
  id: Uuid,
  name: Line(128),
  version: Line(128),
  state: OneOf(['active', 'lifted']),
  startedAt: Instant,
  /** What it rests on: tries that were known then, and the rule as it was. */
  evidence: Strict({
    tries: Count,
    failedTries: Count,
    failedHosts: Count,
    rule: QuarantineRule,
    /** The newest ten. */
    failures: Type.Array(FailedTry),
  }),
  liftedAt: OrNull(Instant),
  liftedByName: OrNull(Line(200)),
  liftReason: OrNull(Prose(500)),
});

const reason = Type.String({ ...Prose(500), minLength: 1 });

export const quarantineRoutes = {
  listUpdateQuarantines: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/update-quarantines',
    permission: 'policies.read',
    audit: null,
    summary: 'Updates in quarantine and those that were, newest first',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(UpdateQuarantine),
  }),
  liftUpdateQuarantine: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/update-quarantines/:quarantineId/lift',
    permission: 'policies.manage',
    audit: 'update.quarantine_lifted',
    summary: 'Let an update be installed again; its former failures no longer count',
    params: Strict({ tenantId: Uuid, quarantineId: Uuid }),
    body: Strict({ reason }),
    response: UpdateQuarantine,
    errors: ['transition_refused'],
  }),
  getQuarantineRule: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/quarantine-rule',
    permission: 'policies.read',
    audit: null,
    summary: 'When an update goes into quarantine',
    params: tenantParams,
    response: QuarantineRule,
  }),
  updateQuarantineRule: defineRoute({
    method: 'PUT',
    path: '/api/v1/tenants/:tenantId/quarantine-rule',
    permission: 'policies.manage',
    audit: 'quarantine_rule.updated',
    summary: 'Change when an update goes into quarantine; those that are in it stay',
    params: tenantParams,
    body: QuarantineRule,
    response: QuarantineRule,
  }),
};

export type QuarantineRule = Static<typeof QuarantineRule>;
export type UpdateQuarantine = Static<typeof UpdateQuarantine>;
