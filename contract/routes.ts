import { auditRoutes } from '#contract/audit-routes.ts';
import { buildRoutes } from '#contract/builds.ts';
import { calendarRoutes } from '#contract/calendar.ts';
import { exceptionRoutes } from '#contract/exceptions.ts';
import { feedRoutes } from '#contract/feeds.ts';
import { fleetRoutes } from '#contract/fleet.ts';
import { followUpRoutes } from '#contract/followups.ts';
import { groupRoutes } from '#contract/groups.ts';
import { metricsRoutes } from '#contract/metrics.ts';
import { noticeRoutes } from '#contract/notices.ts';
import { planRoutes } from '#contract/plans.ts';
import { quarantineRoutes } from '#contract/quarantine.ts';
import { reachRoutes } from '#contract/reach.ts';
import { releaseRoutes } from '#contract/releases.ts';
import { runRoutes } from '#contract/runs.ts';
import { tenantRoutes } from '#contract/tenants.ts';
import { windowRoutes } from '#contract/windows.ts';

/** Every route of the people's API by name. */
export const routes = {
  ...tenantRoutes,
  ...fleetRoutes,
  ...metricsRoutes,
  ...calendarRoutes,
  ...windowRoutes,
  ...feedRoutes,
  ...noticeRoutes,
  ...reachRoutes,
  ...buildRoutes,
  ...groupRoutes,
  ...planRoutes,
  ...quarantineRoutes,
  ...exceptionRoutes,
  ...releaseRoutes,
  ...runRoutes,
  ...followUpRoutes,
  ...auditRoutes,
};
export type Routes = typeof routes;
export type RouteName = keyof Routes;
