import { timeLimits, type PlanTiming } from '#contract/plans.ts';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { subtract, type FreezeSpan } from './freezes.policy.ts';
import { nextOccurrences } from './occurrences.policy.ts';
import { concerns, freezeSpans, shownOccurrences } from './windows.policy.ts';

type TimeLimit = NonNullable<PlanTiming['limit']>;

const minuteMs = 60_000;

/** How long a plan is expected to take, milliseconds: low is P50, high is P95. */
export interface Expected {
  readonly lowMs: number;
  readonly highMs: number;
  /** When its last wave starts. */
  readonly lastStartLowMs: number;
  readonly lastStartHighMs: number;
  /** When its last restart or installation begins. */
  readonly lastChangeLowMs: number;
  readonly lastChangeHighMs: number;
  /** Former host runs that it rests on. */
  readonly runs: number;
  /** Hosts of which only the limits of the steps are known: the figures are the longest that it may take. */
  readonly hostsOnLimits: number;
}

export type Fit = 'fits' | 'may_not_fit' | 'does_not_fit' | 'unknown';

/** A time that a plan may take from a window. */
export interface WindowTime {
  readonly window: MaintenanceWindow;
  readonly startMs: number;
  readonly endMs: number;
  /** No host starts after this. */
  readonly startByMs: number;
  /** No installation and no restart begins after this. */
  readonly changeByMs: number;
  /** What has begun may go on until this. */
  readonly hardStopMs: number;
  readonly fit: Fit;
  /** The first of these limits that the plan would pass, at P95. */
  readonly limit: TimeLimit | null;
}

/** An occurrence that was looked at, and what became of it. */
export interface Considered {
  readonly window: MaintenanceWindow;
  readonly startMs: number;
  readonly endMs: number;
  readonly code: 'chosen' | 'frozen' | 'does_not_fit' | 'may_not_fit';
  /** The freezes that took it, or a part of it. */
  readonly freezes: readonly string[];
}

export interface Choice {
  readonly chosen: WindowTime | null;
  readonly considered: readonly Considered[];
}

type Ends = Pick<WindowTime, 'startMs' | 'endMs' | 'startByMs' | 'changeByMs' | 'hardStopMs'>;

/** The first limit that the expected time passes, with P50 or P95; null when it passes none. */
function passed(ends: Ends, expected: Expected, share: 'Low' | 'High'): TimeLimit | null {
  const [takesMs, lastStartMs, lastChangeMs] =
    share === 'Low'
      ? [expected.lowMs, expected.lastStartLowMs, expected.lastChangeLowMs]
      : [expected.highMs, expected.lastStartHighMs, expected.lastChangeHighMs];
  const { startMs } = ends;
  const limits: Readonly<Record<TimeLimit, boolean>> = {
    start_cut_off: startMs + lastStartMs > ends.startByMs,
    reboot_reserve: startMs + lastChangeMs > ends.changeByMs,
    window_end: startMs + takesMs > ends.endMs,
    hard_stop: startMs + takesMs > ends.hardStopMs,
  };
  return timeLimits.find((limit) => limits[limit]) ?? null;
}

/** Does the expected time keep every limit of its time, and which would it pass first? */
export function fitOf(
  ends: Ends,
  expected: Expected | null,
): { readonly fit: Fit; readonly limit: TimeLimit | null } {
  if (expected === null) return { fit: 'unknown', limit: null };
  const limit = passed(ends, expected, 'High');
  if (limit === null) return { fit: 'fits', limit };
  // The longest that it may take is too long; how long it will take, nobody knows.
  if (expected.hostsOnLimits > 0) return { fit: 'unknown', limit };
  return { fit: passed(ends, expected, 'Low') === null ? 'may_not_fit' : 'does_not_fit', limit };
}

interface Piece {
  readonly time: WindowTime;
  readonly freezes: readonly string[];
}

interface Context {
  readonly freezes: readonly Freeze[];
  readonly nowMs: number;
  readonly expected: Expected | null;
}

function timeOf(
  window: MaintenanceWindow,
  span: { startMs: number; endMs: number },
  context: Context,
): WindowTime {
  const { startMs, endMs } = span;
  const startByMs = endMs - window.startCutOffMinutes * minuteMs;
  const stopMs = endMs + window.hardStopMinutes * minuteMs;
  // A freeze that follows ends the grace too.
  const next = freezeSpans(context.freezes, endMs, stopMs).map((freeze) => Math.max(freeze.startMs, endMs));
  const times = { startMs, endMs, startByMs, changeByMs: endMs - window.rebootReserveMinutes * minuteMs };
  const ends = { ...times, hardStopMs: Math.min(stopMs, ...next) };
  return { window, ...ends, ...fitOf(ends, context.expected) };
}

/** What freezes leave of one occurrence; only pieces in which a host could still start. */
function piecesOf(
  window: MaintenanceWindow,
  span: { startMs: number; endMs: number },
  context: Context,
): { pieces: Piece[]; cuts: FreezeSpan[] } {
  const { pieces, cuts } = subtract(span, freezeSpans(context.freezes, span.startMs, span.endMs));
  const freezes = [...new Set(cuts.map(({ name }) => name))];
  const usable = pieces
    .map((piece) => ({ time: timeOf(window, piece, context), freezes }))
    .filter(({ time }) => time.startByMs > Math.max(time.startMs, context.nowMs));
  return { pieces: usable, cuts: [...cuts] };
}

const ranks: Readonly<Record<Fit, number>> = { fits: 0, unknown: 0, may_not_fit: 1, does_not_fit: 2 };

/**
 * The time that a plan takes from several windows: the earliest into which it fits, freezes taken out;
 * when it fits into none, the earliest into which it may. Pure.
 */
export function chooseTime(
  windows: readonly MaintenanceWindow[],
  context: Context & { readonly siteIds: readonly string[] },
): Choice {
  const freezes = context.freezes.filter(({ siteId }) => concerns(siteId, context.siteIds));
  const inner = { ...context, freezes };
  const pieces: Piece[] = [];
  const gone: Considered[] = [];
  for (const window of windows) {
    for (const { startMs, endMs } of nextOccurrences(window, context.nowMs, shownOccurrences)) {
      const left = piecesOf(window, { startMs, endMs }, inner);
      pieces.push(...left.pieces);
      if (left.pieces.length > 0 || left.cuts.length === 0) continue;
      const names = [...new Set(left.cuts.map(({ name }) => name))];
      gone.push({ window, startMs, endMs, code: 'frozen', freezes: names });
    }
  }
  const ordered = pieces.sort((a, b) => a.time.startMs - b.time.startMs);
  const best = Math.min(...ordered.map(({ time }) => ranks[time.fit]));
  const chosen = ordered.find(({ time }) => ranks[time.fit] === best)?.time ?? null;
  const seen = ordered
    .filter(({ time }) => chosen !== null && time.startMs <= chosen.startMs)
    .filter(({ time }) => time === chosen || ranks[time.fit] > best)
    .map(({ time, freezes: names }): Considered => ({
      window: time.window,
      startMs: time.startMs,
      endMs: time.endMs,
      code: time === chosen ? 'chosen' : time.fit === 'may_not_fit' ? 'may_not_fit' : 'does_not_fit',
      freezes: names,
    }));
  const before = gone.filter(({ startMs }) => chosen === null || startMs <= chosen.startMs);
  return { chosen, considered: [...seen, ...before].sort((a, b) => a.startMs - b.startMs) };
}
