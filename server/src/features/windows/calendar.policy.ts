import type { Calendar, Freeze, MaintenanceWindow } from '#contract/windows.ts';
import type { CalendarWork } from './calendar.read-model.ts';
import type { FreezeSpan } from './freezes.policy.ts';
import { occurrencesBetween } from './occurrences.policy.ts';
import { concerns, freezeSpans, occurrenceView } from './windows.policy.ts';

type Conflict = Calendar['conflicts'][number];

interface CalendarFacts {
  readonly fromMs: number;
  readonly toMs: number;
  readonly windows: readonly MaintenanceWindow[];
  readonly freezes: readonly Freeze[];
  readonly plans: readonly CalendarWork[];
  readonly runs: readonly CalendarWork[];
  readonly truncated: boolean;
}

interface SiteFreeze extends FreezeSpan {
  readonly siteId: string | null;
  readonly reason: string;
}

const over = ['completed', 'completed_with_failures', 'cancelled', 'expired'];
const maxConflicts = 200;

function nameOf({ number, title }: CalendarWork): string {
  return number === null ? title : `${number} · ${title}`;
}

function inFreeze(work: readonly CalendarWork[], freezes: readonly SiteFreeze[]): Conflict[] {
  return work.flatMap((one) =>
    freezes
      .filter(
        ({ siteId, startMs, endMs }) =>
          concerns(siteId, one.siteIds) && startMs < one.endsAt.getTime() && endMs > one.startsAt.getTime(),
      )
      .map(({ name, startMs }) => ({
        code: 'in_freeze' as const,
        at: new Date(Math.max(startMs, one.startsAt.getTime())).toISOString(),
        values: { work: nameOf(one), freeze: name },
      })),
  );
}

function sharedHosts(work: readonly CalendarWork[]): Conflict[] {
  return work.flatMap((one, n) => {
    const hosts = new Set(one.hostIds);
    return work.slice(n + 1).flatMap((other): Conflict[] => {
      if (other.startsAt >= one.endsAt || one.startsAt >= other.endsAt) return [];
      const count = other.hostIds.filter((hostId) => hosts.has(hostId)).length;
      const at = (one.startsAt > other.startsAt ? one : other).startsAt.toISOString();
      return count === 0
        ? []
        : [{ code: 'shared_hosts', at, values: { work: nameOf(one), other: nameOf(other), count } }];
    });
  });
}

function windowsOf({ windows, freezes, fromMs, toMs }: CalendarFacts): Calendar['windows'] {
  return windows.flatMap(({ id, name, siteId, timeZone, ...schedule }) => {
    const ours = freezes.filter((freeze) => concerns(freeze.siteId, siteId === null ? null : [siteId]));
    return occurrencesBetween({ ...schedule, timeZone }, fromMs, toMs).map((occurrence) => ({
      windowId: id,
      name,
      siteId,
      timeZone,
      // A freeze outside the page may still cut a window that reaches into it.
      occurrence: occurrenceView(
        occurrence,
        timeZone,
        freezeSpans(ours, occurrence.startMs, occurrence.endMs),
      ),
    }));
  });
}

function frozenWhole(windows: Calendar['windows']): Conflict[] {
  return windows
    .filter(({ occurrence }) => occurrence.pieces.length === 0)
    .map(({ name, occurrence }) => ({
      code: 'window_frozen',
      at: occurrence.start.at,
      values: { window: name, freeze: [...new Set(occurrence.cuts.map((cut) => cut.name))].join(', ') },
    }));
}

function planView({
  planId,
  title,
  siteIds,
  hostIds,
  startsAt,
  endsAt,
}: CalendarWork): Calendar['plans'][number] {
  const times = { notBefore: startsAt.toISOString(), notAfter: endsAt.toISOString() };
  return { planId, title, ...times, siteIds: [...siteIds], hosts: hostIds.length };
}

function runView(run: CalendarWork): Calendar['runs'][number] {
  const { id, planId, number, title, state, siteIds, hostIds } = run;
  const times = { startsAt: run.startsAt.toISOString(), endsAt: run.endsAt.toISOString() };
  return {
    runId: id,
    planId,
    number: number ?? 0,
    title,
    state,
    ...times,
    siteIds: [...siteIds],
    hosts: hostIds.length,
  };
}

/** Everything between two instants, and what does not go together. Pure. */
export function composeCalendar(facts: CalendarFacts): Calendar {
  const { fromMs, toMs, plans, runs } = facts;
  const freezes = facts.freezes.flatMap((freeze) =>
    freezeSpans([freeze], fromMs, toMs).map((span): SiteFreeze => ({
      ...span,
      siteId: freeze.siteId,
      reason: freeze.reason,
    })),
  );
  const windows = windowsOf(facts);
  const open = [...plans, ...runs.filter(({ state }) => !over.includes(state))];
  const conflicts = [...inFreeze(open, freezes), ...sharedHosts(open), ...frozenWhole(windows)].sort(
    (a, b) => (a.at < b.at ? -1 : 1),
  );
  return {
    windows,
    freezes: freezes.map(({ freezeId, name, reason, siteId, startMs, endMs }) => ({
      freezeId,
      name,
      reason,
      siteId,
      startsAt: new Date(startMs).toISOString(),
      endsAt: new Date(endMs).toISOString(),
    })),
    plans: plans.map(planView),
    runs: runs.map(runView),
    conflicts: conflicts.slice(0, maxConflicts),
    truncated: facts.truncated || conflicts.length > maxConflicts,
  };
}
