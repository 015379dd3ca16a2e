import type { Calendar } from '#contract/calendar.ts';
import type { CalendarWork } from './calendar.read-model.ts';
import { conflictsOf, type CalendarGroup } from './conflicts.policy.ts';

export interface CalendarFacts extends Pick<Calendar, 'windows' | 'freezes'> {
  readonly plans: readonly CalendarWork[];
  readonly runs: readonly CalendarWork[];
  readonly groups: readonly CalendarGroup[];
  readonly truncated: boolean;
}

const over = ['completed', 'completed_with_failures', 'cancelled', 'expired'];
/** More than so many say nothing more to a reader. */
const maxConflicts = 200;

/** True for a plan, and for a run that is not over. */
export function isOpen({ state }: CalendarWork): boolean {
  return !over.includes(state);
}

function planView(plan: CalendarWork): Calendar['plans'][number] {
  const { planId, title, siteIds, hostIds, startsAt, endsAt } = plan;
  const times = { notBefore: startsAt.toISOString(), notAfter: endsAt.toISOString() };
  return { planId, title, ...times, siteIds: [...siteIds], hosts: hostIds.length };
}

function runView(run: CalendarWork): Calendar['runs'][number] {
  const { id, planId, number, title, state, siteIds, hostIds } = run;
  const times = { startsAt: run.startsAt.toISOString(), endsAt: run.endsAt.toISOString() };
  const about = { runId: id, planId, number: number ?? 0, title, state };
  return { ...about, ...times, siteIds: [...siteIds], hosts: hostIds.length };
}

/** What does not go together, and whether that is all of it. */
export function shownConflicts(facts: CalendarFacts): Pick<Calendar, 'conflicts' | 'truncated'> {
  const { windows, freezes, groups, plans, runs } = facts;
  const conflicts = conflictsOf({ windows, freezes, groups, open: [...plans, ...runs.filter(isOpen)] });
  return {
    conflicts: conflicts.slice(0, maxConflicts),
    truncated: facts.truncated || conflicts.length > maxConflicts,
  };
}

/** Everything between two instants, and what does not go together. Pure. */
export function composeCalendar(facts: CalendarFacts): Calendar {
  const { windows, freezes, plans, runs } = facts;
  return {
    windows,
    freezes,
    plans: plans.map(planView),
    runs: runs.map(runView),
    ...shownConflicts(facts),
  };
}
