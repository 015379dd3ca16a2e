/** A span of instants, milliseconds; the end is not in it. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** A time in which nothing may start, with the name that people gave it. */
export interface FreezeSpan extends Span {
  readonly freezeId: string;
  readonly name: string;
}

/** What is left of a span, and which freezes took the rest. */
export interface Remainder {
  readonly pieces: readonly Span[];
  /** The part of each freeze that lies inside the span. */
  readonly cuts: readonly FreezeSpan[];
}

/** Takes freezes out of a span. What remains is in order, touches no freeze and is never empty. */
export function subtract(span: Span, freezes: readonly FreezeSpan[]): Remainder {
  const cuts = freezes
    .filter(({ startMs, endMs }) => startMs < span.endMs && endMs > span.startMs && startMs < endMs)
    .map((freeze) => ({
      ...freeze,
      startMs: Math.max(freeze.startMs, span.startMs),
      endMs: Math.min(freeze.endMs, span.endMs),
    }))
    .sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs || (a.freezeId < b.freezeId ? -1 : 1));
  const pieces: Span[] = [];
  let cursor = span.startMs;
  for (const { startMs, endMs } of cuts) {
    if (startMs > cursor) pieces.push({ startMs: cursor, endMs: startMs });
    cursor = Math.max(cursor, endMs);
  }
  if (cursor < span.endMs) pieces.push({ startMs: cursor, endMs: span.endMs });
  return { pieces, cuts };
}

/** The freeze that holds an instant, the one that lasts longest when there are several; null when none does. */
export function freezeAt(freezes: readonly FreezeSpan[], atMs: number): FreezeSpan | null {
  const holding = freezes.filter(({ startMs, endMs }) => startMs <= atMs && atMs < endMs);
  return holding.reduce<FreezeSpan | null>(
    (longest, freeze) => (longest === null || freeze.endMs > longest.endMs ? freeze : longest),
    null,
  );
}
