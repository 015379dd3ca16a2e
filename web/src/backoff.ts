/** Milliseconds before try number `attempt` (from 0): doubling from half a second, at most 15 s, with full jitter. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(15_000, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling / 4 + random() * ceiling * 0.75);
}

/** Path and query of the live WebSocket. `after` is the last event already seen; without it, only what comes from now on. */
export function liveUrl(origin: string, ticket: string, after: number | null): string {
  const url = new URL('/ws', origin.replace(/^http/, 'ws'));
  url.searchParams.set('ticket', ticket);
  if (after !== null) url.searchParams.set('after', String(after));
  return url.toString();
}
