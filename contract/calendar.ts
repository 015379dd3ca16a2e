import { Type, type Static } from 'typebox';
import { defineRoute } from '#contract/route.ts';
import { Count, Instant, Line, OneOf, OrNull, Prose, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams, TimeZone } from '#contract/tenants.ts';
import { Occurrence } from '#contract/windows.ts';

/** Occurrences of windows that touch a span, freezes taken out. */
const WindowSpans = Type.Array(
  Strict({
    windowId: Uuid,
    name: Line(120),
    siteId: OrNull(Uuid),
    timeZone: TimeZone,
    occurrence: Occurrence,
  }),
);

const FreezeSpans = Type.Array(
  Strict({
    freezeId: Uuid,
    name: Line(120),
    reason: Prose(500),
    siteId: OrNull(Uuid),
    startsAt: Instant,
    endsAt: Instant,
  }),
);

export const conflictCodes = [
  'in_freeze',
  'shared_hosts',
  'group_members',
  'does_not_fit',
  'may_not_fit',
  'window_frozen',
  'window_cut',
] as const;

/** What does not go together, said in words by the reader's catalogue. */
export const Conflict = Strict({
  code: OneOf(conflictCodes),
  at: Instant,
  until: Instant,
  values: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
  /** Plans concerned; a run is named by its plan. */
  planIds: Type.Array(Uuid),
  /** The group of which too many members could be down at once. */
  groupId: OrNull(Uuid),
  windowId: OrNull(Uuid),
});

/** What a month or a week holds. `localDate`s are left to the reader: everything here is an instant. */
export const Calendar = Strict({
  windows: WindowSpans,
  freezes: FreezeSpans,
  plans: Type.Array(
    Strict({
      planId: Uuid,
      title: Line(160),
      notBefore: Instant,
      notAfter: Instant,
      siteIds: Type.Array(Uuid),
      hosts: Count,
    }),
  ),
  runs: Type.Array(
    Strict({
      runId: Uuid,
      planId: Uuid,
      number: Type.Integer(),
      title: Line(160),
      state: Line(40),
      startsAt: Instant,
      endsAt: Instant,
      siteIds: Type.Array(Uuid),
      hosts: Count,
    }),
  ),
  conflicts: Type.Array(Conflict),
  /** True when there was more than a screen can hold, and some of it was left out. */
  truncated: Type.Boolean(),
});

/** What the lanes of a timeline are; `host` lanes are those of one group, one site, or of no group. */
export const laneKinds = ['group', 'site', 'host'] as const;

/** A plan that no run carries out, or the run that does: what a timeline draws, whichever lanes it is in. */
export const TimelineWork = Strict({
  planId: Uuid,
  runId: OrNull(Uuid),
  number: OrNull(Type.Integer()),
  title: Line(160),
  /** State of the run; `planned` for a plan. */
  state: Line(40),
  startsAt: Instant,
  endsAt: Instant,
  hosts: Count,
  /**
   * When it is expected to end: P50 and P95 of what its plan foretold, from its beginning. Null when it is over, and when
   * nothing was foretold.
   */
  expectedEnd: OrNull(Strict({ low: Instant, high: Instant })),
  fit: OrNull(OneOf(['fits', 'may_not_fit', 'does_not_fit', 'unknown'])),
});

/** One row of a timeline. */
export const TimelineLane = Strict({
  kind: OneOf(laneKinds),
  /** Null: the hosts that are in no group. */
  id: OrNull(Uuid),
  name: OrNull(Line(253)),
  hosts: Count,
  siteIds: Type.Array(Uuid),
  /** Members of a group that may be down at once. */
  maxDown: OrNull(Count),
  works: Type.Array(
    Strict({
      planId: Uuid,
      /** How many hosts of the lane it changes. */
      hosts: Count,
      /** Of one host: its wave, and where it is; null in other lanes, and while there is no run. */
      wave: OrNull(Type.Integer()),
      hostState: OrNull(Line(40)),
      startedAt: OrNull(Instant),
      endedAt: OrNull(Instant),
    }),
  ),
  exceptionIds: Type.Array(Uuid),
});

/** Lanes of a span, a page at a time, with everything that they name. */
export const Timeline = Strict({
  lanes: Type.Array(TimelineLane),
  nextCursor: OrNull(Type.String()),
  windows: WindowSpans,
  freezes: FreezeSpans,
  works: Type.Array(TimelineWork),
  /** Approved decisions not to install something, while they hold. */
  exceptions: Type.Array(
    Strict({
      exceptionId: Uuid,
      /** Null: every update. */
      update: OrNull(Line(128)),
      placeName: OrNull(Line(253)),
      startsAt: Instant,
      endsAt: Instant,
    }),
  ),
  conflicts: Type.Array(Conflict),
  truncated: Type.Boolean(),
});

const range = { from: Instant, to: Instant };

export const calendarRoutes = {
  getCalendar: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/calendar',
    permission: 'windows.read',
    audit: null,
    summary:
      'Windows, freezes, plans and runs between two instants, at most 62 days apart, with what does not go together',
    params: tenantParams,
    query: Strict(range),
    response: Calendar,
  }),
  getTimeline: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/timeline',
    permission: 'fleet.read',
    audit: null,
    summary:
      'The same by group, site or host, a page of lanes at a time, with expected ends and exceptions; what the caller may not read is left out',
    params: tenantParams,
    query: Strict({
      ...range,
      by: OneOf(laneKinds),
      /** Hosts of this group. */
      groupId: Type.Optional(Uuid),
      /** Hosts of this site. */
      siteId: Type.Optional(Uuid),
      /** Hosts that are in no group. */
      ungrouped: Type.Optional(OneOf(['yes'])),
      cursor: Type.Optional(Type.String({ maxLength: 600, pattern: '^[A-Za-z0-9_-]+$' })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
    }),
    response: Timeline,
  }),
};

export type Calendar = Static<typeof Calendar>;
export type Conflict = Static<typeof Conflict>;
export type Timeline = Static<typeof Timeline>;
export type TimelineLane = Static<typeof TimelineLane>;
export type TimelineWork = Static<typeof TimelineWork>;
