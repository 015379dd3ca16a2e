import type { Component } from 'svelte';
import type { Permission } from '#contract/access.ts';
import { matchPath } from './routing.ts';

export type Section = 'today' | 'fleet' | 'plans' | 'releases' | 'runs' | 'calendar' | 'audit' | 'settings';

/** A page takes the parameters of its path as properties. */
type PageModule = { default: Component<never> };

interface PageRoute {
  readonly path: string;
  readonly section: Section | null;
  /** What one must be allowed to see it; null for pages of everybody. */
  readonly permission: Permission | null;
  readonly load: () => Promise<PageModule>;
}

const page = (
  path: string,
  options: { section: Section | null; permission: Permission | null; load: () => Promise<unknown> },
): PageRoute => ({ path, ...options, load: options.load as () => Promise<PageModule> });

/** Every page, its own chunk each. The first that fits wins. */
export const pageRoutes: readonly PageRoute[] = [
  page('/t/:tenantId/today', {
    section: 'today',
    permission: 'fleet.read',
    load: () => import('./features/today/TodayPage.svelte'),
  }),
  page('/t/:tenantId/start', {
    section: 'today',
    permission: 'fleet.read',
    load: () => import('./features/today/FirstRunPage.svelte'),
  }),
  page('/t/:tenantId/hosts', {
    section: 'fleet',
    permission: 'fleet.read',
    load: () => import('./features/fleet/FleetPage.svelte'),
  }),
  page('/t/:tenantId/hosts/:hostId', {
    section: 'fleet',
    permission: 'fleet.read',
    load: () => import('./features/fleet/HostPage.svelte'),
  }),
  page('/t/:tenantId/plans', {
    section: 'plans',
    permission: 'plans.read',
    load: () => import('./features/plans/PlansPage.svelte'),
  }),
  page('/t/:tenantId/plans/new', {
    section: 'plans',
    permission: 'plans.create',
    load: () => import('./features/plans/PlanBuilderPage.svelte'),
  }),
  page('/t/:tenantId/plans/:planId', {
    section: 'plans',
    permission: 'plans.read',
    load: () => import('./features/plans/PlanPage.svelte'),
  }),
  page('/t/:tenantId/exceptions', {
    section: 'plans',
    permission: 'exceptions.read',
    load: () => import('./features/exceptions/ExceptionsPage.svelte'),
  }),
  page('/t/:tenantId/releases', {
    section: 'releases',
    permission: 'releases.read',
    load: () => import('./features/releases/ReleasesPage.svelte'),
  }),
  page('/t/:tenantId/releases/:releaseId', {
    section: 'releases',
    permission: 'releases.read',
    load: () => import('./features/releases/SigningPage.svelte'),
  }),
  page('/t/:tenantId/runs', {
    section: 'runs',
    permission: 'runs.read',
    load: () => import('./features/runs/RunsPage.svelte'),
  }),
  page('/t/:tenantId/runs/:runId', {
    section: 'runs',
    permission: 'runs.read',
    load: () => import('./features/runs/RunPage.svelte'),
  }),
  page('/t/:tenantId/calendar', {
    section: 'calendar',
    permission: 'windows.read',
    load: () => import('./features/calendar/CalendarPage.svelte'),
  }),
  page('/t/:tenantId/audit', {
    section: 'audit',
    permission: 'audit.read',
    load: () => import('./features/audit/AuditPage.svelte'),
  }),
  page('/t/:tenantId/settings/:part', {
    section: 'settings',
    permission: null,
    load: () => import('./features/settings/SettingsPage.svelte'),
  }),
  page('/accessibilite', {
    section: null,
    permission: null,
    load: () => import('./features/access/AccessibilityPage.svelte'),
  }),
];

export interface FoundPage {
  readonly route: PageRoute;
  readonly params: Record<string, string>;
}

/** The page of an address, or null when there is none. */
export function findPage(pathname: string): FoundPage | null {
  for (const route of pageRoutes) {
    const params = matchPath(route.path, pathname);
    if (params !== null) return { route, params };
  }
  return null;
}
