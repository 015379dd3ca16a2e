import { Type, type Static } from 'typebox';
import { defineRoute, Page, pageQuery } from '#contract/route.ts';
import { Count, Instant, Line, OneOf, OrNull, Prose, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

/** An exception ends at most so many days after it was asked for. */
export const maxExceptionDays = 365;
/** From so many days before its end on, people are reminded of it. */
export const expiringSoonDays = 14;

/** `expired` is computed from the time, never stored: nothing can be late to say it. */
export const exceptionStates = ['requested', 'approved', 'refused', 'revoked', 'expired'] as const;
export type ExceptionState = (typeof exceptionStates)[number];

/** What people may do with an exception, by its state; one table for the server's rule and the button's disabled reason. */
export const exceptionActions = {
  approve: ['requested'],
  refuse: ['requested'],
  revoke: ['requested', 'approved'],
} as const satisfies Record<string, readonly ExceptionState[]>;
export type ExceptionAction = keyof typeof exceptionActions;

/** Where it holds. `tenant`: everywhere. Of a group its members at the moment of planning count. */
export const exceptionPlaces = ['host', 'group', 'site', 'tenant'] as const;

/** An update as hosts name it. Another version is another update and needs another decision. */
const ExemptedUpdate = Strict({ name: Line(128), version: Line(128) });

const required = (maxLength: number) => Type.String({ ...Prose(maxLength), minLength: 1 });

/** What somebody asks for: not to install this, there, for so long, and why that can be answered for. */
export const ExceptionBody = Strict({
  /** Null: every update. */
  update: OrNull(ExemptedUpdate),
  /** `id` of the host, the group or the site; null for the whole tenant. */
  place: Strict({ kind: OneOf(exceptionPlaces), id: OrNull(Uuid) }),
  reason: required(1000),
  /** What is done instead, as long as the update is missing. */
  compensation: required(2000),
  /** The person who answers for it; a member of the tenant. */
  ownerId: Uuid,
  /** In the future, at most 365 days ahead. */
  expiresAt: Instant,
});

const ExceptionDecision = Strict({
  decision: OneOf(['approved', 'refused', 'revoked']),
  reason: Prose(500),
  by: Uuid,
  /** Null when the person is no member any more. */
  byName: OrNull(Line(200)),
  at: Instant,
});

/** A documented decision not to install something for a time. Nothing of it is ever changed; decisions are added. */
export const PatchException = Strict({
  id: Uuid,
  update: OrNull(ExemptedUpdate),
  place: Strict({
    kind: OneOf(exceptionPlaces),
    id: OrNull(Uuid),
    name: OrNull(Line(253)),
    /** The group was removed: the exception holds nowhere. */
    gone: Type.Boolean(),
  }),
  reason: Prose(1000),
  compensation: Prose(2000),
  ownerId: Uuid,
  ownerName: OrNull(Line(200)),
  /** The owner is no member any more, has no role or a closed account: nobody answers for it. */
  ownerLost: Type.Boolean(),
  expiresAt: Instant,
  /** Approved, and its end is near. */
  expiresSoon: Type.Boolean(),
  state: OneOf(exceptionStates),
  requestedBy: Uuid,
  requestedByName: OrNull(Line(200)),
  requestedAt: Instant,
  /** Oldest first. */
  decisions: Type.Array(ExceptionDecision),
  /** Hosts in its place on which what it names waits to be installed; null when it was never approved, was refused or revoked. */
  missingOn: OrNull(Count),
});

/** An update that a plan does not install though its policy chooses it. */
export const LeftOutUpdate = Strict({
  ...ExemptedUpdate.properties,
  code: OneOf(['quarantined', 'exempted']),
  /** What people approved, as it was when the plan was made; only for `exempted`. */
  exception: Type.Optional(Strict({ id: Uuid, reason: Prose(1000), expiresAt: Instant })),
});

/** An exception that a plan rests on and that has ended since. */
const EndedException = Strict({
  exceptionId: Uuid,
  reason: Prose(1000),
  how: OneOf(['expired', 'revoked']),
  endedAt: Instant,
});

/** Exceptions for which a plan left updates out and that have ended since; plan and run stay as they are. */
export const EndedExceptions = Type.Array(EndedException);

const exceptionParams = Strict({ tenantId: Uuid, exceptionId: Uuid });
const WithReason = Strict({ reason: required(500) });

export const exceptionSorts = ['expiresAt', '-requestedAt'] as const;

export const exceptionRoutes = {
  listExceptions: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/exceptions',
    permission: 'exceptions.read',
    audit: null,
    summary: 'Decisions not to install updates, by their end or newest first',
    params: tenantParams,
    query: Strict({
      ...pageQuery,
      state: Type.Optional(OneOf(exceptionStates)),
      sort: Type.Optional(OneOf(exceptionSorts)),
    }),
    response: Page(PatchException),
  }),
  getException: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/exceptions/:exceptionId',
    permission: 'exceptions.read',
    audit: null,
    summary: 'One exception with its decisions',
    params: exceptionParams,
    response: PatchException,
  }),
  getExceptionAlerts: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/exception-alerts',
    permission: 'exceptions.read',
    audit: null,
    summary:
      'Exceptions that want somebody: to be decided, about to end, ended while the update is missing, without an owner; 100 of each at most',
    params: tenantParams,
    response: Strict({
      requested: Type.Array(PatchException),
      expiringSoon: Type.Array(PatchException),
      /** Ended without another one in their place, and what they name is still missing somewhere. */
      expiredMissing: Type.Array(PatchException),
      ownerLost: Type.Array(PatchException),
    }),
  }),
  createException: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/exceptions',
    permission: 'exceptions.manage',
    audit: 'exception.requested',
    summary: 'Ask for an exception; it has no effect until another person approves it',
    params: tenantParams,
    body: ExceptionBody,
    response: PatchException,
    status: 201,
  }),
  approveException: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/exceptions/:exceptionId/approval',
    permission: 'exceptions.approve',
    audit: 'exception.approved',
    acr: 3,
    summary: 'Approve what another person asked for: plans leave it out from now on',
    params: exceptionParams,
    body: WithReason,
    response: PatchException,
    errors: ['transition_refused', 'policy_refused'],
  }),
  refuseException: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/exceptions/:exceptionId/refusal',
    permission: 'exceptions.approve',
    audit: 'exception.refused',
    summary: 'Refuse what was asked for',
    params: exceptionParams,
    body: WithReason,
    response: PatchException,
    errors: ['transition_refused'],
  }),
  revokeException: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/exceptions/:exceptionId/revocation',
    permission: 'exceptions.manage',
    audit: 'exception.revoked',
    summary: 'End an exception, or take its request back: plans install the update again',
    params: exceptionParams,
    body: WithReason,
    response: PatchException,
    errors: ['transition_refused'],
  }),
};

export type ExceptionBody = Static<typeof ExceptionBody>;
export type PatchException = Static<typeof PatchException>;
export type LeftOutUpdate = Static<typeof LeftOutUpdate>;
export type EndedException = Static<typeof EndedException>;
