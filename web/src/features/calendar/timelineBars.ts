import type { Conflict, Timeline, TimelineLane, TimelineWork } from '#contract/calendar.ts';
import { shareOf, type TimelineSpan } from './timelineSpan.ts';

export type BarKind = 'window' | 'freeze' | 'exception' | 'plan' | 'run';

/** One thing drawn in a lane. */
export interface Bar {
  readonly key: string;
  readonly kind: BarKind;
  /** Window, freeze, exception or plan. */
  readonly id: string;
  readonly runId: string | null;
  readonly title: string;
  readonly state: string | null;
  readonly startsAt: string;
  readonly endsAt: string;
  /** Percent of the span. */
  readonly left: number;
  readonly width: number;
  /** Line of the lane, from the top. */
  readonly line: number;
  readonly expected: NonNullable<TimelineWork['expectedEnd']> | null;
  /** The same in percent of the span: from P50 to P95. */
  readonly expectedLeft: number;
  readonly expectedWidth: number;
  readonly hosts: number;
  readonly wave: number | null;
  readonly hostState: string | null;
  readonly conflicts: readonly Conflict[];
  /** A window of which freezes leave nothing. */
  readonly gone: boolean;
}

/** What lies behind a whole lane: when windows allow work, and when freezes forbid it. */
export interface Band {
  readonly key: string;
  readonly kind: 'window' | 'freeze';
  readonly left: number;
  readonly width: number;
}

type Draft = Omit<Bar, 'left' | 'width' | 'line' | 'expectedLeft' | 'expectedWidth'>;

/** The least width that a finger and a keyboard's focus need, percent: bars nearer than that lie on two lines. */
const least = 3.4;
const order: readonly BarKind[] = ['freeze', 'window', 'exception', 'run', 'plan'];
const plain = {
  ...{
    runId: null,
    state: null,
    expected: null,
    hosts: 0,
    wave: null,
    hostState: null,
    conflicts: [],
    gone: false,
  },
};

const inLane = (siteId: string | null, { siteIds }: TimelineLane): boolean =>
  siteId === null || siteIds.includes(siteId);

function ruleDrafts({ windows, freezes, conflicts }: Timeline, lane: TimelineLane): Draft[] {
  const offered = windows
    .filter(({ siteId }) => inLane(siteId, lane))
    .map(({ windowId, name, occurrence: { start, end, pieces } }): Draft => ({
      ...plain,
      ...{ key: `w${windowId}${start.at}`, kind: 'window', id: windowId, title: name },
      ...{ startsAt: start.at, endsAt: end.at, gone: pieces.length === 0 },
      conflicts: conflicts.filter(
        (one) => one.windowId === windowId && one.at >= start.at && one.at <= end.at,
      ),
    }));
  const frozen = freezes
    .filter(({ siteId }) => inLane(siteId, lane))
    .map(({ freezeId, name, startsAt, endsAt }): Draft => ({
      ...plain,
      ...{ key: `f${freezeId}${startsAt}`, kind: 'freeze', id: freezeId, title: name, startsAt, endsAt },
    }));
  return [...offered, ...frozen];
}

function workDrafts({ works, conflicts }: Timeline, lane: TimelineLane): Draft[] {
  return lane.works.flatMap(({ planId, hosts, wave, hostState, startedAt, endedAt }): Draft[] => {
    const work = works.find((one) => one.planId === planId);
    if (work === undefined) return [];
    // What concerns one group is said in its lane and in those of its hosts, and not in another group's.
    const ours = conflicts.filter(
      (one) =>
        one.planIds.includes(planId) &&
        (one.groupId === null || lane.kind !== 'group' || one.groupId === lane.id),
    );
    const name = work.number === null ? work.title : `${work.number} · ${work.title}`;
    return [
      {
        ...{ key: `p${planId}`, kind: work.runId === null ? 'plan' : 'run', id: planId, runId: work.runId },
        ...{ title: name, state: work.runId === null ? null : work.state, hosts, wave, hostState },
        ...{ startsAt: startedAt ?? work.startsAt, endsAt: endedAt ?? work.endsAt },
        ...{ expected: endedAt === null ? work.expectedEnd : null, conflicts: ours, gone: false },
      },
    ];
  });
}

function exceptionDrafts({ exceptions }: Timeline, lane: TimelineLane): Draft[] {
  return exceptions
    .filter(({ exceptionId }) => lane.exceptionIds.includes(exceptionId))
    .map(({ exceptionId, update, placeName, startsAt, endsAt }): Draft => ({
      ...plain,
      ...{ key: `e${exceptionId}`, kind: 'exception', id: exceptionId, startsAt, endsAt },
      title: [update, placeName].filter((part) => part !== null).join(' · '),
    }));
}

/** Bars of a lane, each on the first line on which nothing is in its way. Windows and freezes only where `rules` says so. */
export function barsOf(timeline: Timeline, lane: TimelineLane, span: TimelineSpan): Bar[] {
  const rules = lane.kind === 'host' ? [] : ruleDrafts(timeline, lane);
  const ends: number[] = [];
  return [...rules, ...exceptionDrafts(timeline, lane), ...workDrafts(timeline, lane)]
    .filter(({ startsAt, endsAt }) => Date.parse(startsAt) < span.toMs && Date.parse(endsAt) > span.fromMs)
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || (a.startsAt < b.startsAt ? -1 : 1))
    .map((draft) => {
      const share = (at: string): number => shareOf(Date.parse(at), span);
      const left = Math.min(share(draft.startsAt), 100 - least);
      const right = share(draft.endsAt);
      const free = ends.findIndex((end) => end <= left);
      const line = free === -1 ? ends.length : free;
      const { expected } = draft;
      const [low, high] = expected === null ? [0, 0] : [share(expected.low), share(expected.high)];
      ends[line] = Math.max(left + least, right, high);
      const drawn = { left, width: Math.max(0, right - left), expectedLeft: low, expectedWidth: high - low };
      return { ...draft, ...drawn, line };
    });
}

/** When windows allow work in a lane, and when freezes forbid it. */
export function bandsOf({ windows, freezes }: Timeline, lane: TimelineLane, span: TimelineSpan): Band[] {
  const band = (kind: Band['kind'], key: string, times: readonly [string, string]): Band[] => {
    const [left, right] = [shareOf(Date.parse(times[0]), span), shareOf(Date.parse(times[1]), span)];
    return right > left ? [{ key, kind, left, width: right - left }] : [];
  };
  return [
    ...windows
      .filter(({ siteId }) => inLane(siteId, lane))
      .flatMap(({ windowId, occurrence }) =>
        occurrence.pieces.flatMap(({ start, end }) =>
          band('window', `w${windowId}${start.at}`, [start.at, end.at]),
        ),
      ),
    ...freezes
      .filter(({ siteId }) => inLane(siteId, lane))
      .flatMap(({ freezeId, startsAt, endsAt }) =>
        band('freeze', `f${freezeId}${startsAt}`, [startsAt, endsAt]),
      ),
  ];
}

/** Where a key leads from a bar of a lane; null for a key that moves nothing. */
export function moveBar(
  lanes: readonly (readonly Bar[])[],
  from: { readonly lane: number; readonly key: string },
  pressed: string,
): { readonly lane: number; readonly key: string } | null {
  const sorted = (lane: number): Bar[] =>
    [...(lanes[lane] ?? [])].sort((a, b) => a.left - b.left || a.line - b.line);
  const row = sorted(from.lane);
  const at = row.findIndex(({ key }) => key === from.key);
  const inRow = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: row.length - 1 }[pressed];
  if (inRow !== undefined) {
    const bar = row[Math.min(row.length - 1, Math.max(0, inRow))];
    return bar === undefined ? null : { lane: from.lane, key: bar.key };
  }
  if (pressed !== 'ArrowUp' && pressed !== 'ArrowDown') return null;
  const step = pressed === 'ArrowUp' ? -1 : 1;
  for (let lane = from.lane + step; lane >= 0 && lane < lanes.length; lane += step) {
    const here = row[at]?.left ?? 0;
    const [near] = sorted(lane).sort((a, b) => Math.abs(a.left - here) - Math.abs(b.left - here));
    if (near !== undefined) return { lane, key: near.key };
  }
  return null;
}
