import { Type, type Static } from 'typebox';
import { defineRoute, NoContent, Page, pageQuery } from '#contract/route.ts';
import { Instant, Line, OrNull, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

/** An address from which calendar programs read the times of one site (RFC 5545). */
export const CalendarFeed = Strict({
  id: Uuid,
  siteId: Uuid,
  siteName: Line(120),
  createdBy: Uuid,
  createdByName: OrNull(Line(200)),
  createdAt: Instant,
  revokedAt: OrNull(Instant),
});

/** `url` is shown once: whoever holds it may read. */
export const CalendarFeedCreated = Strict({ feed: CalendarFeed, url: Type.String() });

export const feedRoutes = {
  listCalendarFeeds: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/calendar-feeds',
    permission: 'windows.read',
    audit: null,
    summary: 'Calendar addresses, newest first',
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
  revokeCalendarFeed: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/calendar-feeds/:feedId',
    permission: 'windows.manage',
    audit: 'calendar_feed.revoked',
    summary: 'Make a calendar address useless',
    params: Strict({ tenantId: Uuid, feedId: Uuid }),
    response: NoContent,
    status: 204,
  }),
  readCalendarFeed: defineRoute({
    method: 'GET',
    path: '/api/v1/calendar-feeds/:feedToken',
    // The address itself is the credential: 256 random bits, kept as a hash, revocable.
    permission: 'public',
    audit: null,
    summary: 'Windows, freezes and planned runs of a site as iCalendar',
    params: Strict({ feedToken: Type.String({ pattern: '^[A-Za-z0-9_-]{64}$' }) }),
    response: Type.String(),
    produces: 'text/calendar; charset=utf-8',
  }),
};

export type CalendarFeed = Static<typeof CalendarFeed>;
