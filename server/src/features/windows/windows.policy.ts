import type {
  Freeze,
  FreezeBody,
  MaintenanceWindow,
  Occurrence as OccurrenceView,
  ScheduleProblem,
  WindowBody,
  WindowPreview,
} from '#contract/windows.ts';
import { subtract, type FreezeSpan } from './freezes.policy.ts';
import { toLocal } from './localTime.policy.ts';
import { judgeSchedule, nextOccurrences, occurrencesBetween, type Occurrence } from './occurrences.policy.ts';

const minuteMs = 60_000;
/** How many coming occurrences people are shown. */
export const shownOccurrences = 5;

/** What a site has from its first day: Saturday 20:00 to Sunday 12:00 on its own clock. */
export function defaultWindow(site: {
  readonly id: string;
  readonly name: string;
  readonly timeZone: string;
}): WindowBody {
  return {
    name: `${site.name.slice(0, 100)} · week-end`,
    siteId: site.id,
    timeZone: site.timeZone,
    startsOn: '2026-01-03',
    startTime: '20:00',
    rule: 'FREQ=WEEKLY;BYDAY=SA',
    durationMinutes: 960,
    startCutOffMinutes: 120,
    rebootReserveMinutes: 60,
    hardStopMinutes: 60,
  };
}

/** Everything that is wrong with a window; empty when it can be used. */
export function judgeWindow(body: WindowBody): ScheduleProblem[] {
  const { durationMinutes, rebootReserveMinutes, startCutOffMinutes } = body;
  const found: ScheduleProblem[] = [];
  const ofSchedule = judgeSchedule(body);
  if (ofSchedule !== null) found.push(ofSchedule);
  if (rebootReserveMinutes >= durationMinutes) {
    const values = { minutes: rebootReserveMinutes, duration: durationMinutes };
    found.push({ path: 'rebootReserveMinutes', code: 'reserve_too_long', values });
  }
  if (startCutOffMinutes >= durationMinutes) {
    const values = { minutes: startCutOffMinutes, duration: durationMinutes };
    found.push({ path: 'startCutOffMinutes', code: 'reserve_too_long', values });
  }
  // A host that starts after the reserve has begun could install nothing.
  if (startCutOffMinutes < rebootReserveMinutes) {
    const values = { minutes: startCutOffMinutes, reserve: rebootReserveMinutes };
    found.push({ path: 'startCutOffMinutes', code: 'cut_off_before_reserve', values });
  }
  return found;
}

/** Everything that is wrong with a freeze; empty when it can be used. */
export function judgeFreeze({ when }: FreezeBody): ScheduleProblem[] {
  if (when.kind === 'once') {
    return Date.parse(when.endsAt) > Date.parse(when.startsAt)
      ? []
      : [{ path: 'when/endsAt', code: 'ends_before_start', values: {} }];
  }
  const problem = judgeSchedule(when);
  return problem === null ? [] : [{ ...problem, path: `when/${problem.path}` }];
}

/** True when a freeze or window of this site concerns a window of that one. */
export function concerns(siteId: string | null, siteIds: readonly string[] | null): boolean {
  return siteId === null || siteIds === null || siteIds.includes(siteId);
}

/** The spans of freezes that touch [fromMs, toMs). */
export function freezeSpans(freezes: readonly Freeze[], fromMs: number, toMs: number): FreezeSpan[] {
  return freezes.flatMap(({ id, name, when }) => {
    const spans =
      when.kind === 'once'
        ? [{ startMs: Date.parse(when.startsAt), endMs: Date.parse(when.endsAt) }]
        : occurrencesBetween(when, fromMs, toMs);
    return spans
      .filter(({ startMs, endMs }) => startMs < toMs && endMs > fromMs)
      .map(({ startMs, endMs }) => ({ freezeId: id, name, startMs, endMs }));
  });
}

/** One occurrence as people and clients read it, freezes taken out. */
export function occurrenceView(
  occurrence: Occurrence,
  timeZone: string,
  freezes: readonly FreezeSpan[],
): OccurrenceView {
  const say = (ms: number) => ({ at: new Date(ms).toISOString(), local: toLocal(ms, timeZone) });
  const { pieces, cuts } = subtract(occurrence, freezes);
  return {
    start: say(occurrence.startMs),
    end: say(occurrence.endMs),
    elapsedMinutes: Math.round((occurrence.endMs - occurrence.startMs) / minuteMs),
    startNote: occurrence.startNote,
    endNote: occurrence.endNote,
    pieces: pieces.map(({ startMs, endMs }) => ({ start: say(startMs), end: say(endMs) })),
    cuts: cuts.map(({ freezeId, name, startMs, endMs }) => ({
      freezeId,
      name,
      start: say(startMs),
      end: say(endMs),
    })),
  };
}

/** The next occurrences of a window that has been judged, with what freezes leave of each. */
export function comingOccurrences(
  window: Pick<MaintenanceWindow, 'siteId'> & Parameters<typeof nextOccurrences>[0],
  freezes: readonly Freeze[],
  nowMs: number,
): OccurrenceView[] {
  const coming = nextOccurrences(window, nowMs, shownOccurrences);
  const [first, last] = [coming[0], coming.at(-1)];
  if (first === undefined || last === undefined) return [];
  const ours = freezes.filter(({ siteId }) =>
    concerns(siteId, window.siteId === null ? null : [window.siteId]),
  );
  const spans = freezeSpans(ours, first.startMs, last.endMs);
  return coming.map((occurrence) => occurrenceView(occurrence, window.timeZone, spans));
}

/** The next times of a freeze that is not saved: nothing cuts a freeze. Local times of a single span are UTC. */
export function previewFreezeTimes(body: FreezeBody, nowMs: number): WindowPreview {
  const problems = judgeFreeze(body);
  const { when } = body;
  if (problems.length > 0) return { problems, occurrences: [] };
  if (when.kind === 'recurring')
    return { problems, occurrences: comingOccurrences({ siteId: null, ...when }, [], nowMs) };
  const span = {
    startMs: Date.parse(when.startsAt),
    endMs: Date.parse(when.endsAt),
    startNote: null,
    endNote: null,
  };
  return { problems, occurrences: span.endMs > nowMs ? [occurrenceView(span, 'UTC', [])] : [] };
}
