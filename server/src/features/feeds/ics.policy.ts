import { ICalCalendar, ICalEventBusyStatus, ICalEventStatus, ICalEventTransparency } from 'ical-generator';

/** One event of a feed. */
export interface Entry {
  /** The same for the same thing, however often it changes; unique without a domain, as it holds a UUID. */
  readonly id: string;
  readonly start: Date;
  readonly end: Date;
  readonly summary: string;
  readonly description?: string;
  /** Page of the application, for who may sign in. */
  readonly url?: string;
  readonly status: 'confirmed' | 'tentative' | 'cancelled';
  /** A run takes the time; a window or a freeze only says something about it. */
  readonly busy: boolean;
  /** When what it says last changed. */
  readonly revisedAt: Date;
}

const statuses = {
  confirmed: ICalEventStatus.CONFIRMED,
  tentative: ICalEventStatus.TENTATIVE,
  cancelled: ICalEventStatus.CANCELLED,
} as const;
const firstRevisionMs = Date.UTC(2026, 0, 1);

/**
 * A revision's number (RFC 5545, section 3.8.7.4): seconds from the beginning of 2026 to the last change. It rises with
 * every change and never falls, whoever reads and whichever process answers, without anybody keeping count.
 */
export function sequenceOf(revisedAt: Date): number {
  return Math.max(0, Math.floor((revisedAt.getTime() - firstRevisionMs) / 1000));
}

/**
 * Events as iCalendar (RFC 5545), instants in UTC so that no program needs our time zone database.
 * A feed has no METHOD, so DTSTAMP is when an event last changed, and two readings of the same facts are the same bytes.
 */
export function icsOf(
  calendar: { readonly name: string; readonly locale: 'fr' | 'en' },
  entries: readonly Entry[],
): string {
  const ics = new ICalCalendar({
    name: calendar.name,
    prodId: { company: 'ATLAS', product: 'ATLAS ORCHESTRATOR', language: calendar.locale.toUpperCase() },
    ttl: 3600,
  });
  for (const { id, summary, start, end, busy, status, revisedAt, ...more } of entries) {
    ics.createEvent({
      id: `${id}@atlas`,
      sequence: sequenceOf(revisedAt),
      stamp: revisedAt,
      lastModified: revisedAt,
      ...{ start, end, summary },
      ...(more.description === undefined ? {} : { description: more.description }),
      ...(more.url === undefined ? {} : { url: more.url }),
      status: statuses[status],
      busystatus: busy ? ICalEventBusyStatus.BUSY : ICalEventBusyStatus.FREE,
      transparency: busy ? ICalEventTransparency.OPAQUE : ICalEventTransparency.TRANSPARENT,
    });
  }
  return ics.toString();
}
