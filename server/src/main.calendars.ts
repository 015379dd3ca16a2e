import { createCalendarModule } from './features/calendar/calendar.module.ts';
import type { CalendarDeps } from './features/calendar/calendar.service.ts';
import { createFeedsModule } from './features/feeds/feeds.module.ts';
import type { FeedsDeps } from './features/feeds/feeds.deps.ts';
import type { Platform } from './main.platform.ts';

/** What people see of a span of time, on screens and in their own calendar programs. */
export function createCalendars(deps: Platform & Pick<CalendarDeps, 'windows'> & Pick<FeedsDeps, 'trust'>) {
  const calendar = createCalendarModule(deps);
  const { publicUrl } = deps.config;
  const feeds = createFeedsModule({ ...deps, publicUrl, calendar: calendar.service });
  return { routes: { ...calendar.routes, ...feeds.routes } };
}
