/** Where a local time falls: once, in an hour that the clock skips, or in one that it shows twice. */
export type ClockNote = 'skipped' | 'repeated' | null;

export interface LocalInstant {
  readonly ms: number;
  readonly note: ClockNote;
}

/** True when the zone is one of the IANA database that this runtime knows; offsets are no zones. */
export function isZone(timeZone: string): boolean {
  if (!/^[A-Za-z]/.test(timeZone)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return true;
  } catch {
    // The runtime says by an exception that it does not know the zone; the caller hears it as a fact.
    return false;
  }
}

/**
 * The instant of a local time. A time that the clock skips stands for the instant of the change,
 * a time that it shows twice for the first one, so that order is kept and nothing is lost.
 */
export function instantOf(local: Temporal.PlainDateTime, timeZone: string): LocalInstant {
  const first = local.toZonedDateTime(timeZone, { disambiguation: 'earlier' });
  const last = local.toZonedDateTime(timeZone, { disambiguation: 'later' });
  if (first.epochMilliseconds === last.epochMilliseconds) return { ms: first.epochMilliseconds, note: null };
  if (first.toPlainDateTime().equals(local)) return { ms: first.epochMilliseconds, note: 'repeated' };
  const change = first.getTimeZoneTransition('next');
  return { ms: (change ?? last).epochMilliseconds, note: 'skipped' };
}

/** Local date, time and offset of an instant: 2026-11-21T20:00+01:00. */
export function toLocal(ms: number, timeZone: string): string {
  const at = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone);
  return at.toString({ timeZoneName: 'never', smallestUnit: 'minute' });
}
