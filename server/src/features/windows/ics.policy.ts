import { ICalCalendar, ICalEventBusyStatus, ICalEventTransparency } from 'ical-generator';
import type { Calendar } from '#contract/windows.ts';

interface Site {
  readonly id: string;
  readonly name: string;
  readonly timeZone: string;
}

interface Entry {
  readonly id: string;
  readonly start: string;
  readonly end: string;
  readonly summary: string;
  /** A freeze or a run takes the time; a window only offers it. */
  readonly busy: boolean;
}

const concernsSite = (siteId: string | null, site: Site): boolean => siteId === null || siteId === site.id;

function entriesOf({ windows, freezes, plans, runs }: Calendar, site: Site): Entry[] {
  const offered = windows
    .filter(({ siteId }) => concernsSite(siteId, site))
    .flatMap(({ windowId, name, occurrence }) =>
      occurrence.pieces.map(({ start, end }): Entry => ({
        id: `window-${windowId}-${start.at}`,
        start: start.at,
        end: end.at,
        summary: `ATLAS · ${name}`,
        busy: false,
      })),
    );
  const frozen = freezes
    .filter(({ siteId }) => concernsSite(siteId, site))
    .map(({ freezeId, name, startsAt, endsAt }): Entry => ({
      id: `freeze-${freezeId}-${startsAt}`,
      start: startsAt,
      end: endsAt,
      summary: `ATLAS · ❄ ${name}`,
      busy: false,
    }));
  const planned = plans
    .filter(({ siteIds }) => siteIds.includes(site.id))
    .map(({ planId, title, notBefore, notAfter }): Entry => ({
      id: `plan-${planId}`,
      start: notBefore,
      end: notAfter,
      summary: `ATLAS · ? ${title}`,
      busy: false,
    }));
  const carried = runs
    .filter(({ siteIds }) => siteIds.includes(site.id))
    .map(({ runId, number, title, startsAt, endsAt }): Entry => ({
      id: `run-${runId}`,
      start: startsAt,
      end: endsAt,
      summary: `ATLAS · ${number} · ${title}`,
      busy: true,
    }));
  return [...offered, ...frozen, ...planned, ...carried];
}

/**
 * A site's times as iCalendar (RFC 5545), instants in UTC so that no program needs our time zone database.
 * Identifiers stay the same from one reading to the next. Reasons, hosts and people are not in it.
 */
export function icsOf(site: Site, calendar: Calendar, now: Date): string {
  const ics = new ICalCalendar({
    name: `ATLAS · ${site.name}`,
    prodId: { company: 'ATLAS', product: 'ATLAS ORCHESTRATOR', language: 'FR' },
    ttl: 3600,
  });
  for (const { id, start, end, summary, busy } of entriesOf(calendar, site)) {
    ics.createEvent({
      id: `${id}@atlas`,
      stamp: now,
      start: new Date(start),
      end: new Date(end),
      summary,
      busystatus: busy ? ICalEventBusyStatus.BUSY : ICalEventBusyStatus.FREE,
      transparency: busy ? ICalEventTransparency.OPAQUE : ICalEventTransparency.TRANSPARENT,
    });
  }
  return ics.toString();
}
