/** Value of a datetime-local field for an instant, in a zone: 2026-11-21T22:00. */
export function toLocalField(instantMs: number, zone: string): string {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat('en-CA', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    })
      .formatToParts(new Date(instantMs))
      .map((part) => [part.type, part.value]),
  );
  return `${parts['year']}-${parts['month']}-${parts['day']}T${parts['hour']}:${parts['minute']}`;
}

/**
 * The instant of a local time in a zone, or null when that local time does not exist (spring) or is no time.
 * Where it exists twice (autumn), the first one.
 */
export function fromLocalField(text: string, zone: string): number | null {
  const guess = Date.parse(`${text}:00Z`);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(text) || Number.isNaN(guess)) return null;
  const hour = 3_600_000;
  // Every offset of the world is a multiple of a quarter of an hour between -12 h and +14 h.
  for (let offset = 14 * 4; offset >= -12 * 4; offset -= 1) {
    const candidate = guess - (offset * hour) / 4;
    if (toLocalField(candidate, zone) === text) return candidate;
  }
  return null;
}

/** The next start on the hour, at least ten minutes ahead. */
export function nextHour(nowMs: number): number {
  const hour = 3_600_000;
  return Math.ceil((nowMs + 600_000) / hour) * hour;
}

/** Instant as the contract writes it. */
export const toInstant = (instantMs: number): string => new Date(instantMs).toISOString();
