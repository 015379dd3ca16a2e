import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { subtract, type FreezeSpan } from './freezes.policy.ts';
import { nextOccurrences } from './occurrences.policy.ts';
import { concerns, freezeSpans, shownOccurrences } from './windows.policy.ts';

const minuteMs = 60_000;

/** How long a plan is expected to take, milliseconds; `lastStart` is when its last wave starts. */
export interface Expected {
  readonly lowMs: number;
  readonly highMs: number;
  readonly lastStartLowMs: number;
  readonly lastStartHighMs: number;
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

type Ends = Pick<WindowTime, 'startMs' | 'endMs' | 'startByMs'>;

/** Does the expected time fit between start and end, the last wave before the cut-off? */
export function fitOf({ startMs, endMs, startByMs }: Ends, expected: Expected | null): Fit {
  if (expected === null) return 'unknown';
  const holds = (takesMs: number, lastStartMs: number): boolean =>
    startMs + takesMs <= endMs && startMs + lastStartMs <= startByMs;
  if (holds(expected.highMs, expected.lastStartHighMs)) return 'fits';
  return holds(expected.lowMs, expected.lastStartLowMs) ? 'may_not_fit' : 'does_not_fit';
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
  return { window, ...times, hardStopMs: Math.min(stopMs, ...next), fit: fitOf(times, context.expected) };
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
