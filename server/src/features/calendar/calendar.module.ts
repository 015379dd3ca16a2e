// Owns the calendar and the timeline: what windows, freezes, plans and runs say together about a span of time.
// Promises that what does not go together is named, and that nobody is shown what his permissions do not show elsewhere.
// Never changes anything: windows, freezes and runs are changed where they are owned.
import type { calendarRoutes } from '#contract/calendar.ts';
import type { Routes } from '#contract/routes.ts';
import { isAllowed } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { CalendarService, type CalendarDeps } from './calendar.service.ts';

export type { CalendarService } from './calendar.service.ts';

export function createCalendarModule(deps: CalendarDeps) {
  const service = new CalendarService(deps);
  const routes: RouteHandlers<Routes, keyof typeof calendarRoutes> = {
    getCalendar: ({ params, query }) => service.calendar(params.tenantId, query),
    getTimeline: ({ params: { tenantId }, query, caller }) =>
      service.timeline(tenantId, query, {
        windows: isAllowed(caller, 'windows.read', tenantId),
        plans: isAllowed(caller, 'plans.read', tenantId),
        runs: isAllowed(caller, 'runs.read', tenantId),
        exceptions: isAllowed(caller, 'exceptions.read', tenantId),
      }),
  };
  return { service, routes };
}
