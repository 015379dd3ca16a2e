import type { Calendar, Conflict } from '#contract/calendar.ts';
import type { CalendarWork } from './calendar.read-model.ts';

/** A redundancy set, as far as conflicts look at it. */
export interface CalendarGroup {
  readonly id: string;
  readonly name: string;
  readonly hostIds: readonly string[];
  readonly siteIds: readonly string[];
  readonly maxDown: number;
}

interface ConflictFacts extends Pick<Calendar, 'windows' | 'freezes'> {
  /** Plans, and runs that are not over. */
  readonly open: readonly CalendarWork[];
  readonly groups: readonly CalendarGroup[];
}

type Values = Conflict['values'];

const whole = { planIds: [], groupId: null, windowId: null };
const touches = (siteId: string | null, siteIds: readonly string[]): boolean =>
  siteId === null || siteIds.includes(siteId);

/** What people call it: a run has a number. */
function nameOf({ number, title }: CalendarWork): string {
  return number === null ? title : `${number} · ${title}`;
}

function span(startMs: number, endMs: number): Pick<Conflict, 'at' | 'until'> {
  return { at: new Date(startMs).toISOString(), until: new Date(endMs).toISOString() };
}

function inFreeze({ open, freezes }: ConflictFacts): Conflict[] {
  return open.flatMap((one) => {
    const [startMs, endMs] = [one.startsAt.getTime(), one.endsAt.getTime()];
    return freezes
      .map((freeze) => ({ ...freeze, fromMs: Date.parse(freeze.startsAt), toMs: Date.parse(freeze.endsAt) }))
      .filter(({ siteId, fromMs, toMs }) => touches(siteId, one.siteIds) && fromMs < endMs && toMs > startMs)
      .map(({ name, fromMs, toMs }) => ({
        ...whole,
        code: 'in_freeze' as const,
        ...span(Math.max(fromMs, startMs), Math.min(toMs, endMs)),
        values: { work: nameOf(one), freeze: name },
        planIds: [one.planId],
      }));
  });
}

/** Two pieces of work in each other's time, and when they are. */
interface Meeting {
  readonly one: CalendarWork;
  readonly other: CalendarWork;
  readonly when: Pick<Conflict, 'at' | 'until'>;
}

function meetings(open: readonly CalendarWork[]): Meeting[] {
  return open.flatMap((one, n) =>
    open.slice(n + 1).flatMap((other): Meeting[] => {
      const startMs = Math.max(one.startsAt.getTime(), other.startsAt.getTime());
      const endMs = Math.min(one.endsAt.getTime(), other.endsAt.getTime());
      return startMs < endMs ? [{ one, other, when: span(startMs, endMs) }] : [];
    }),
  );
}

function meet({ one, other, when }: Meeting, code: Conflict['code'], values: Values): Conflict {
  const planIds = [one.planId, other.planId];
  return { ...whole, ...when, code, values: { work: nameOf(one), other: nameOf(other), ...values }, planIds };
}

/** Members of each group that each piece of work changes. */
function membersByWork(open: readonly CalendarWork[], groups: readonly CalendarGroup[]) {
  const groupsOf = new Map<string, CalendarGroup[]>();
  for (const group of groups)
    for (const hostId of group.hostIds) groupsOf.set(hostId, [...(groupsOf.get(hostId) ?? []), group]);
  return new Map(
    open.map((work) => {
      const counts = new Map<CalendarGroup, number>();
      for (const hostId of work.hostIds)
        for (const group of groupsOf.get(hostId) ?? []) counts.set(group, (counts.get(group) ?? 0) + 1);
      return [work, counts] as const;
    }),
  );
}

/**
 * Each piece of work keeps to a group's budget by itself; two of them at once could pass it together, and then the later
 * one waits. Hosts that both change are said as such.
 */
function together({ open, groups }: ConflictFacts): Conflict[] {
  const members = membersByWork(open, groups);
  return meetings(open).flatMap((meeting): Conflict[] => {
    const hosts = new Set(meeting.one.hostIds);
    const count = meeting.other.hostIds.filter((hostId) => hosts.has(hostId)).length;
    if (count > 0) return [meet(meeting, 'shared_hosts', { count })];
    const [ours, theirs] = [members.get(meeting.one), members.get(meeting.other)];
    return [...(ours ?? [])].flatMap(([group, mine]): Conflict[] => {
      const down = Math.min(mine, group.maxDown) + Math.min(theirs?.get(group) ?? 0, group.maxDown);
      if (!theirs?.has(group) || down <= group.maxDown) return [];
      const values = { group: group.name, maxDown: group.maxDown };
      return [{ ...meet(meeting, 'group_members', values), groupId: group.id }];
    });
  });
}

function tooLong({ open }: ConflictFacts): Conflict[] {
  return open.flatMap((one): Conflict[] => {
    const { fit, expectedHighS, startsAt, endsAt, startedAt } = one;
    if ((fit !== 'does_not_fit' && fit !== 'may_not_fit') || expectedHighS === null) return [];
    const minutes = { expected: Math.ceil(expectedHighS / 60) };
    const lengthMs = endsAt.getTime() - (startedAt ?? startsAt).getTime();
    const values = { work: nameOf(one), ...minutes, available: Math.floor(lengthMs / 60_000) };
    return [
      { ...whole, code: fit, ...span(startsAt.getTime(), endsAt.getTime()), values, planIds: [one.planId] },
    ];
  });
}

function frozenWindows({ windows }: ConflictFacts): Conflict[] {
  return windows
    .filter(({ occurrence }) => occurrence.cuts.length > 0)
    .map(({ windowId, name, occurrence: { start, end, pieces, cuts } }) => ({
      ...whole,
      code: pieces.length === 0 ? ('window_frozen' as const) : ('window_cut' as const),
      at: pieces.length === 0 ? start.at : (cuts[0]?.start.at ?? start.at),
      until: pieces.length === 0 ? end.at : (cuts.at(-1)?.end.at ?? end.at),
      values: { window: name, freeze: [...new Set(cuts.map((cut) => cut.name))].join(', ') },
      windowId,
    }));
}

/** Everything in a span that does not go together, earliest first. Pure. */
export function conflictsOf(facts: ConflictFacts): Conflict[] {
  return [...inFreeze(facts), ...together(facts), ...tooLong(facts), ...frozenWindows(facts)].sort((a, b) =>
    a.at < b.at ? -1 : a.at > b.at ? 1 : 0,
  );
}
