import type { Timeline, TimelineLane, TimelineWork } from '#contract/calendar.ts';
import { isOpen } from './calendar.policy.ts';
import type { CalendarWork } from './calendar.read-model.ts';
import type { CalendarGroup } from './conflicts.policy.ts';
import type { HostPart } from './timeline.read-model.ts';

/** A row before anything is put into it. */
export interface LaneSource extends Pick<TimelineLane, 'kind' | 'id' | 'name' | 'hosts' | 'maxDown'> {
  readonly siteIds: string[];
  /** Its hosts, or those of them that are in question. */
  readonly hostIds: readonly string[];
}

export interface LaneException {
  readonly exceptionId: string;
  readonly update: string | null;
  readonly placeKind: 'host' | 'group' | 'site' | 'tenant';
  readonly placeId: string | null;
  readonly placeName: string | null;
  readonly startsAt: Date;
  readonly endsAt: Date;
}

const secondMs = 1000;

/** When an open piece of work is expected to end: as long after its beginning as its plan foretold. */
function expectedEnd(work: CalendarWork): TimelineWork['expectedEnd'] {
  const { expectedLowS, expectedHighS, startsAt, startedAt } = work;
  if (!isOpen(work) || expectedLowS === null || expectedHighS === null) return null;
  const fromMs = (startedAt ?? startsAt).getTime();
  const after = (seconds: number): string => new Date(fromMs + seconds * secondMs).toISOString();
  return { low: after(expectedLowS), high: after(expectedHighS) };
}

/** One plan or run, apart from the lanes in which it is. */
export function workView(work: CalendarWork): TimelineWork {
  return {
    planId: work.planId,
    runId: work.number === null ? null : work.id,
    number: work.number,
    title: work.title,
    state: work.state,
    startsAt: work.startsAt.toISOString(),
    endsAt: work.endsAt.toISOString(),
    hosts: work.hostIds.length,
    expectedEnd: expectedEnd(work),
    fit: work.fit,
  };
}

/** Hosts to which an exception was given by themselves or by their group; none for a site or for all. */
export function namedHosts(
  { placeKind, placeId }: LaneException,
  groups: readonly CalendarGroup[],
): readonly string[] {
  if (placeId === null) return [];
  if (placeKind === 'host') return [placeId];
  return placeKind === 'group' ? (groups.find(({ id }) => id === placeId)?.hostIds ?? []) : [];
}

interface LaneFacts {
  readonly works: readonly CalendarWork[];
  readonly exceptions: readonly LaneException[];
  readonly groups: readonly CalendarGroup[];
  /** Of host lanes. */
  readonly parts: readonly HostPart[];
}

function worksOf(lane: LaneSource, { works, parts }: LaneFacts): TimelineLane['works'] {
  const ours = new Set(lane.hostIds);
  return works.flatMap(({ planId, hostIds }) => {
    const hosts = hostIds.filter((hostId) => ours.has(hostId)).length;
    if (hosts === 0) return [];
    const part =
      lane.kind === 'host'
        ? parts.find((entry) => entry.planId === planId && entry.hostId === lane.id)
        : undefined;
    return [
      {
        planId,
        hosts,
        wave: part?.wave ?? null,
        hostState: part?.state ?? null,
        startedAt: part?.startedAt?.toISOString() ?? null,
        endedAt: part?.endedAt?.toISOString() ?? null,
      },
    ];
  });
}

/** A lane with what concerns its hosts. */
export function laneView(lane: LaneSource, facts: LaneFacts): TimelineLane {
  const { kind, id, name, hosts, siteIds, maxDown } = lane;
  const ours = new Set(lane.hostIds);
  const exceptionIds = facts.exceptions
    .filter((exception) => {
      const { placeKind, placeId } = exception;
      if (placeKind === 'tenant') return true;
      if (placeKind === 'site') return siteIds.includes(placeId ?? '');
      return namedHosts(exception, facts.groups).some((hostId) => ours.has(hostId));
    })
    .map(({ exceptionId }) => exceptionId);
  return { kind, id, name, hosts, siteIds, maxDown, works: worksOf(lane, facts), exceptionIds };
}

/** An exception as a timeline names it. */
export function exceptionView(exception: LaneException): Timeline['exceptions'][number] {
  const { exceptionId, update, placeName, startsAt, endsAt } = exception;
  return {
    exceptionId,
    update,
    placeName,
    startsAt: startsAt.toISOString(),
    endsAt: endsAt.toISOString(),
  };
}
