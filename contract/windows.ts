import { Type, type Static } from 'typebox';
import { defineRoute, NoContent, Page, pageQuery } from '#contract/route.ts';
import { Count, Instant, Line, OneOf, OrNull, Prose, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams, TimeZone } from '#contract/tenants.ts';

const LocalDate = Type.String({ pattern: '^20\\d{2}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])$' });
const TimeOfDay = Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$' });
const maxWindowMinutes = 7 * 1440;
const maxFreezeMinutes = 92 * 1440;

/** When something recurs. `rule` is an RFC 5545 rule that gives at most one start a day; its zone is applied by the server. */
const schedule = (maxMinutes: number) => ({
  timeZone: TimeZone,
  /** First local date that the rule looks at. */
  startsOn: LocalDate,
  /** Local time of day. A start in an hour that the clock skips is at the change; of two equal times the first one counts. */
  startTime: TimeOfDay,
  rule: Type.String({ minLength: 1, maxLength: 200, pattern: '^[A-Z0-9=;:,+-]+$' }),
  /** Length on the wall clock, minutes: the end is where the clock says so, also over a change of the clock. */
  durationMinutes: Type.Integer({ minimum: 15, maximum: maxMinutes }),
});

/** What becomes of a released run that did not begin in its time, or not on all hosts. */
export const missedRunPolicies = ['ask', 'next_occurrence', 'skip'] as const;

/** A maintenance window: when work may happen on a site, or anywhere when there is no site. */
export const WindowBody = Strict({
  name: Line(120),
  siteId: OrNull(Uuid),
  ...schedule(maxWindowMinutes),
  /** No host starts later than this long before the end, minutes. */
  startCutOffMinutes: Type.Integer({ minimum: 0, maximum: maxWindowMinutes }),
  /** No installation and no restart begins later than this long before the end, minutes. */
  rebootReserveMinutes: Type.Integer({ minimum: 0, maximum: maxWindowMinutes }),
  /** What has begun may go on until this long after the end, minutes; then an unfinished installation is put back. */
  hardStopMinutes: Type.Integer({ minimum: 0, maximum: 480 }),
  /** `ask` when absent: a person decides. `next_occurrence`: a new plan, which people must release. */
  missedRun: Type.Optional(OneOf(missedRunPolicies)),
});
const versioned = { id: Uuid, createdAt: Instant, updatedAt: Instant, version: Type.Integer() };
export const MaintenanceWindow = Strict({ ...WindowBody.properties, ...versioned });

/** A time in which nothing starts, whatever a window says: once, or again and again. */
export const FreezeBody = Strict({
  name: Line(120),
  reason: Prose(500),
  siteId: OrNull(Uuid),
  when: Type.Union([
    Strict({ kind: Type.Literal('once'), startsAt: Instant, endsAt: Instant }),
    Strict({ kind: Type.Literal('recurring'), ...schedule(maxFreezeMinutes) }),
  ]),
});
export const Freeze = Strict({ ...FreezeBody.properties, ...versioned });

/** An instant with what a clock on the wall of the window's zone shows: 2026-11-21T20:00+01:00. */
const LocalInstant = Strict({ at: Instant, local: Type.String({ maxLength: 40 }) });

const ClockNote = OrNull(OneOf(['skipped', 'repeated']));

/** One coming span of a window, and what freezes leave of it. */
export const Occurrence = Strict({
  start: LocalInstant,
  end: LocalInstant,
  /** Time that passes, minutes; differs from the length on the wall clock when the clock changes. */
  elapsedMinutes: Count,
  /** The local time does not exist that day (`skipped`) or exists twice (`repeated`). */
  startNote: ClockNote,
  endNote: ClockNote,
  /** What may be used; empty when freezes take it all. */
  pieces: Type.Array(Strict({ start: LocalInstant, end: LocalInstant })),
  /** What was cut away, and by which freeze. */
  cuts: Type.Array(Strict({ freezeId: Uuid, name: Line(120), start: LocalInstant, end: LocalInstant })),
});

export const scheduleProblemCodes = [
  'unknown_zone',
  'no_such_date',
  'malformed_part',
  'unknown_part',
  'unsupported_part',
  'repeated_part',
  'no_frequency',
  'too_often',
  'bad_value',
  'count_and_until',
  'position_alone',
  'yields_nothing',
  'overlaps_itself',
  'cut_off_before_reserve',
  'reserve_too_long',
  'ends_before_start',
  'no_such_site',
] as const;

/** What is wrong, where (member of the body), as a message key and values. */
export const ScheduleProblem = Strict({
  path: Line(60),
  code: OneOf(scheduleProblemCodes),
  values: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
});

/** The next occurrences of a rule that is not saved, or why there are none. */
export const WindowPreview = Strict({
  problems: Type.Array(ScheduleProblem),
  occurrences: Type.Array(Occurrence),
});

const windowParams = Strict({ tenantId: Uuid, windowId: Uuid });
const freezeParams = Strict({ tenantId: Uuid, freezeId: Uuid });

export const windowRoutes = {
  listWindows: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/windows',
    permission: 'windows.read',
    audit: null,
    summary: 'Maintenance windows, newest first',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(MaintenanceWindow),
  }),
  createWindow: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/windows',
    permission: 'windows.manage',
    audit: 'window.created',
    summary: 'Create a maintenance window',
    params: tenantParams,
    body: WindowBody,
    response: MaintenanceWindow,
    status: 201,
    errors: ['already_exists'],
  }),
  getWindow: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/windows/:windowId',
    permission: 'windows.read',
    audit: null,
    summary: 'One maintenance window',
    params: windowParams,
    response: MaintenanceWindow,
  }),
  listWindowOccurrences: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/windows/:windowId/occurrences',
    permission: 'windows.read',
    audit: null,
    summary: 'The next five occurrences of a window, freezes taken out',
    params: windowParams,
    response: Strict({ items: Type.Array(Occurrence) }),
  }),
  updateWindow: defineRoute({
    method: 'PUT',
    path: '/api/v1/tenants/:tenantId/windows/:windowId',
    permission: 'windows.manage',
    audit: 'window.updated',
    ifMatch: true,
    summary: 'Change a maintenance window; plans made before keep their time',
    params: windowParams,
    body: WindowBody,
    response: MaintenanceWindow,
    errors: ['already_exists'],
  }),
  removeWindow: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/windows/:windowId',
    permission: 'windows.manage',
    audit: 'window.removed',
    ifMatch: true,
    summary: 'Remove a maintenance window; plans made before keep their time',
    params: windowParams,
    response: NoContent,
    status: 204,
  }),
  previewWindow: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/window-previews',
    permission: 'windows.read',
    audit: null,
    summary: 'The next five occurrences of a window that is not saved, or what is wrong with it',
    params: tenantParams,
    body: WindowBody,
    response: WindowPreview,
  }),
  listFreezes: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/freezes',
    permission: 'windows.read',
    audit: null,
    summary: 'Freezes, newest first',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(Freeze),
  }),
  createFreeze: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/freezes',
    permission: 'windows.manage',
    audit: 'freeze.created',
    summary: 'Freeze a time: nothing starts in it',
    params: tenantParams,
    body: FreezeBody,
    response: Freeze,
    status: 201,
    errors: ['already_exists'],
  }),
  getFreeze: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/freezes/:freezeId',
    permission: 'windows.read',
    audit: null,
    summary: 'One freeze',
    params: freezeParams,
    response: Freeze,
  }),
  updateFreeze: defineRoute({
    method: 'PUT',
    path: '/api/v1/tenants/:tenantId/freezes/:freezeId',
    permission: 'windows.manage',
    audit: 'freeze.updated',
    ifMatch: true,
    summary: 'Change a freeze; runs that wait for it look again',
    params: freezeParams,
    body: FreezeBody,
    response: Freeze,
    errors: ['already_exists'],
  }),
  removeFreeze: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/freezes/:freezeId',
    permission: 'windows.manage',
    audit: 'freeze.removed',
    ifMatch: true,
    summary: 'Lift a freeze',
    params: freezeParams,
    response: NoContent,
    status: 204,
  }),
  previewFreeze: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/freeze-previews',
    permission: 'windows.read',
    audit: null,
    summary: 'The next five times of a freeze that is not saved, or what is wrong with it',
    params: tenantParams,
    body: FreezeBody,
    response: WindowPreview,
  }),
};

export type WindowBody = Static<typeof WindowBody>;
export type MaintenanceWindow = Static<typeof MaintenanceWindow>;
export type FreezeBody = Static<typeof FreezeBody>;
export type Freeze = Static<typeof Freeze>;
export type Occurrence = Static<typeof Occurrence>;
export type ScheduleProblem = Static<typeof ScheduleProblem>;
export type WindowPreview = Static<typeof WindowPreview>;
