import type { feedRoutes } from '#contract/feeds.ts';
import type { Routes } from '#contract/routes.ts';
import { isAllowed, tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { FeedsService } from './feeds.service.ts';

export function feedsRoutes(feeds: FeedsService): RouteHandlers<Routes, keyof typeof feedRoutes> {
  return {
    listCalendarFeeds: ({ params: { tenantId }, query, caller }) => {
      const which = isAllowed(caller, 'members.read', tenantId) ? 'all' : 'sites';
      return feeds.list(tenantId, { which, callerId: caller.id }, idPage(query));
    },
    createCalendarFeed: (call) => feeds.createOfSite(tenantActor(call), call.body.siteId),
    renewCalendarFeed: (call) => feeds.renew(tenantActor(call), call.params.feedId, 'site'),
    revokeCalendarFeed: async (call) => {
      await feeds.revoke(tenantActor(call), call.params.feedId, 'any');
      return null;
    },
    listMyCalendarFeeds: ({ params, query, caller }) =>
      feeds.list(params.tenantId, { which: 'own', callerId: caller.id }, idPage(query)),
    createMyCalendarFeed: (call) => feeds.createMine(tenantActor(call), call.body.siteIds),
    renewMyCalendarFeed: (call) => feeds.renew(tenantActor(call), call.params.feedId, 'mine'),
    revokeMyCalendarFeed: async (call) => {
      await feeds.revoke(tenantActor(call), call.params.feedId, 'mine');
      return null;
    },
    readCalendarFeed: ({ params }) => feeds.read(params.feedToken),
  };
}
