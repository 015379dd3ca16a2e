import type { CalendarFeed } from '#contract/feeds.ts';
import type { RouteName } from '#contract/routes.ts';
import type { ReleaseDesk } from './release-desk.ts';

/** One real use of each route that changes a calendar address. */
export function feedUses(desk: () => ReleaseDesk): [RouteName, () => Promise<unknown>][] {
  const made = async (name: 'createCalendarFeed' | 'createMyCalendarFeed') => {
    const { siteId } = desk();
    const body = name === 'createCalendarFeed' ? { siteId } : { siteIds: [siteId] };
    const { feed } = await desk().must<{ feed: CalendarFeed }>('chief', name, { body });
    return { params: { feedId: feed.id } };
  };
  const ofSite = async (name: RouteName) => desk().must('chief', name, await made('createCalendarFeed'));
  const mine = async (name: RouteName) => desk().must('chief', name, await made('createMyCalendarFeed'));
  return [
    ['createCalendarFeed', () => made('createCalendarFeed')],
    ['renewCalendarFeed', () => ofSite('renewCalendarFeed')],
    ['revokeCalendarFeed', () => ofSite('revokeCalendarFeed')],
    ['createMyCalendarFeed', () => made('createMyCalendarFeed')],
    ['renewMyCalendarFeed', () => mine('renewMyCalendarFeed')],
    ['revokeMyCalendarFeed', () => mine('revokeMyCalendarFeed')],
  ];
}
