import { Type, type Static } from 'typebox';
import { defineRoute, NoContent, Page, pageQuery } from '#contract/route.ts';
import { Instant, Line, OneOf, OrNull, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

/** Live addresses that one person may have in a tenant: a phone, a desk, and some to spare. */
export const maxFeedsOfPerson = 5;

/**
 * An address from which calendar programs read (RFC 5545). Of a site: its windows, freezes, plans and runs. Of a person:
 * what waits for his signature, what he asked for or signed, the exceptions that he answers for, and the windows and
 * freezes of the sites that he chose.
 */
export const CalendarFeed = Strict({
  id: Uuid,
  kind: OneOf(['site', 'person']),
  siteId: OrNull(Uuid),
  siteName: OrNull(Line(120)),
  personId: OrNull(Uuid),
  personName: OrNull(Line(200)),
  /** Sites whose windows and freezes a person's address also holds. */
  siteIds: Type.Array(Uuid),
  createdBy: Uuid,
  createdByName: OrNull(Line(200)),
  createdAt: Instant,
  /** When the secret in the address was last replaced; null when it never was. */
  renewedAt: OrNull(Instant),
  /** When it was last read, to a quarter of an hour; null when it never was. */
  lastReadAt: OrNull(Instant),
  revokedAt: OrNull(Instant),
});

/** `url` is shown once: whoever holds it may read. */
export const CalendarFeedCreated = Strict({ feed: CalendarFeed, url: Type.String() });

const feedParams = Strict({ tenantId: Uuid, feedId: Uuid });

export const feedRoutes = {
  listCalendarFeeds: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/calendar-feeds',
    permission: 'windows.read',
    audit: null,
    summary: 'Calendar addresses, newest first; those of other people only for who may see the members',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(CalendarFeed),
  }),
  createCalendarFeed: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/calendar-feeds',
    permission: 'windows.manage',
    audit: 'calendar_feed.created',
    summary: 'Make a calendar address for a site; it is shown once',
    params: tenantParams,
    body: Strict({ siteId: Uuid }),
    response: CalendarFeedCreated,
    status: 201,
  }),
  renewCalendarFeed: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/calendar-feeds/:feedId/renewal',
    permission: 'windows.manage',
    audit: 'calendar_feed.renewed',
    summary: 'Give a site’s calendar a new address, shown once; the one before is useless at once',
    params: feedParams,
    response: CalendarFeedCreated,
    status: 201,
  }),
  revokeCalendarFeed: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/calendar-feeds/:feedId',
    permission: 'windows.manage',
    audit: 'calendar_feed.revoked',
    summary: 'Make a calendar address useless, a person’s too',
    params: feedParams,
    response: NoContent,
    status: 204,
  }),
  listMyCalendarFeeds: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/my-calendar-feeds',
    permission: 'windows.read',
    audit: null,
    summary: 'Calendar addresses of the caller, newest first',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(CalendarFeed),
  }),
  createMyCalendarFeed: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/my-calendar-feeds',
    permission: 'windows.read',
    audit: 'calendar_feed.created',
    summary: 'Make a calendar address of what concerns the caller; it is shown once, five at most are live',
    params: tenantParams,
    body: Strict({ siteIds: Type.Array(Uuid, { maxItems: 50, uniqueItems: true }) }),
    response: CalendarFeedCreated,
    status: 201,
    errors: ['conflict'],
  }),
  renewMyCalendarFeed: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/my-calendar-feeds/:feedId/renewal',
    permission: 'windows.read',
    audit: 'calendar_feed.renewed',
    summary:
      'Give one of the caller’s calendars a new address, shown once; the one before is useless at once',
    params: feedParams,
    response: CalendarFeedCreated,
    status: 201,
  }),
  revokeMyCalendarFeed: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/my-calendar-feeds/:feedId',
    permission: 'windows.read',
    audit: 'calendar_feed.revoked',
    summary: 'Make one of the caller’s calendar addresses useless',
    params: feedParams,
    response: NoContent,
    status: 204,
  }),
  readCalendarFeed: defineRoute({
    method: 'GET',
    path: '/api/v1/calendar-feeds/:feedToken',
    // The address itself is the credential: 256 random bits, kept as a hash, revocable.
    permission: 'public',
    capability: 'feedToken',
    audit: null,
    summary: 'Times of a site, or what concerns a person, as iCalendar',
    params: Strict({ feedToken: Type.String({ pattern: '^[A-Za-z0-9_-]{64}$' }) }),
    response: Type.String(),
    produces: 'text/calendar; charset=utf-8',
  }),
};

export type CalendarFeed = Static<typeof CalendarFeed>;
