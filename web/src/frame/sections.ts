import CalendarCheck from '@lucide/svelte/icons/calendar-check';
import CalendarRange from '@lucide/svelte/icons/calendar-range';
import ListChecks from '@lucide/svelte/icons/list-checks';
import PenLine from '@lucide/svelte/icons/pen-line';
import ScrollText from '@lucide/svelte/icons/scroll-text';
import Server from '@lucide/svelte/icons/server';
import Settings from '@lucide/svelte/icons/settings';
import Workflow from '@lucide/svelte/icons/workflow';
import type { FleetSummary } from '#contract/fleet.ts';
import type { Permission } from '#contract/access.ts';
import { paths } from '../paths.ts';
import type { Section } from '../routes.ts';

/** The navigation, in order. `letter` follows `g`. */
export const sections = [
  { id: 'today', icon: CalendarCheck, letter: 't', permission: 'fleet.read', href: paths.today },
  { id: 'fleet', icon: Server, letter: 'f', permission: 'fleet.read', href: (id: string) => paths.fleet(id) },
  { id: 'plans', icon: ListChecks, letter: 'p', permission: 'plans.read', href: paths.plans },
  { id: 'releases', icon: PenLine, letter: 's', permission: 'releases.read', href: paths.releases },
  { id: 'runs', icon: Workflow, letter: 'r', permission: 'runs.read', href: paths.runs },
  { id: 'calendar', icon: CalendarRange, letter: 'c', permission: 'windows.read', href: paths.calendar },
  { id: 'audit', icon: ScrollText, letter: 'a', permission: 'audit.read', href: paths.audit },
  {
    id: 'settings',
    icon: Settings,
    letter: 'e',
    permission: 'tenants.read',
    href: (id: string) => paths.settings(id),
  },
] as const satisfies readonly {
  id: Section;
  icon: unknown;
  letter: string;
  permission: Permission;
  href: (tenantId: string) => string;
}[];

/** The number beside a section: what waits there for somebody. */
export function countOf(section: Section, summary: FleetSummary | undefined): number | null {
  if (summary === undefined) return null;
  if (section === 'fleet') return summary.total;
  if (section === 'releases') return summary.releasesToSign;
  if (section === 'runs') return summary.activeRuns;
  return null;
}
