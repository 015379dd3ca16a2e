import type { CalendarFeed } from '#contract/feeds.ts';
import type { Calendar, Freeze, MaintenanceWindow, WindowPreview } from '#contract/windows.ts';
import { composeCalendar } from '../../../server/src/features/windows/calendar.policy.ts';
import type { CalendarWork } from '../../../server/src/features/windows/calendar.read-model.ts';
import {
  comingOccurrences,
  defaultWindow,
  previewFreezeTimes,
} from '../../../server/src/features/windows/windows.policy.ts';
import { at, idOf, sites } from './fleetData.ts';
import { plans } from './releaseData.ts';
import { runs } from './runData.ts';

const row = { createdAt: at(-20_000), updatedAt: at(-20_000), version: 1 };
const now = Date.parse(at(0));

/** Every site's own window, and a short one for the nights of the second Tuesday. */
export const windows: readonly MaintenanceWindow[] = [
  ...sites.map((site, index) => ({ ...defaultWindow(site), ...row, id: idOf('window', index) })),
  {
    ...row,
    id: idOf('window', 99),
    name: 'Nuit du deuxième mardi',
    siteId: null,
    timeZone: 'Europe/Paris',
    startsOn: '2026-01-01',
    startTime: '22:00',
    rule: 'FREQ=MONTHLY;BYDAY=2TU',
    durationMinutes: 300,
    startCutOffMinutes: 60,
    rebootReserveMinutes: 30,
    hardStopMinutes: 30,
  },
];

export const freezes: readonly Freeze[] = [
  {
    ...row,
    id: idOf('freeze', 1),
    name: 'Clôture de fin d’année',
    reason: 'La paie et les comptes ne supportent aucune coupure.',
    siteId: null,
    when: {
      kind: 'recurring',
      timeZone: 'Europe/Paris',
      startsOn: '2026-01-01',
      startTime: '12:00',
      rule: 'FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=15',
      durationMinutes: 21 * 1440,
    },
  },
  {
    ...row,
    id: idOf('freeze', 2),
    name: 'Migration du cœur de réseau',
    reason: '',
    siteId: sites[0]?.id ?? null,
    when: { kind: 'once', startsAt: at(180), endsAt: at(2000) },
  },
];

const work = (one: { id: string; title: string; startsAt: string; endsAt: string }): CalendarWork => ({
  id: one.id,
  planId: one.id,
  number: null,
  title: one.title,
  state: 'planned',
  startsAt: new Date(one.startsAt),
  endsAt: new Date(one.endsAt),
  siteIds: sites.slice(0, 1).map(({ id }) => id),
  hostIds: [idOf('host', 1)],
});

/** What the server's own rules make of the simulated client. */
export function calendar({ from = at(0), to = at(60) }: Readonly<Record<string, string>>): Calendar {
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  const touches = ({ startsAt, endsAt }: CalendarWork): boolean =>
    startsAt.getTime() < toMs && endsAt.getTime() > fromMs;
  const planned = plans
    .filter(({ runId }) => runId === null)
    .map(({ id, title, notBefore, notAfter }) => work({ id, title, startsAt: notBefore, endsAt: notAfter }));
  const done = runs.map((run) => ({
    ...work({
      id: run.id,
      title: run.title,
      startsAt: run.startedAt ?? run.notBefore,
      endsAt: run.endedAt ?? run.notAfter,
    }),
    planId: run.planId,
    number: run.number,
    state: run.state,
  }));
  return composeCalendar({
    fromMs,
    toMs,
    windows,
    freezes,
    plans: planned.filter(touches),
    runs: done.filter(touches),
    truncated: false,
  });
}

export function occurrences(windowId: string) {
  const window = windows.find(({ id }) => id === windowId);
  return window === undefined ? null : { items: comingOccurrences(window, freezes, now) };
}

export function windowPreview(): WindowPreview {
  const [window] = windows;
  return { problems: [], occurrences: window === undefined ? [] : comingOccurrences(window, freezes, now) };
}

export function freezePreview(): WindowPreview {
  const [freeze] = freezes;
  return freeze === undefined ? { problems: [], occurrences: [] } : previewFreezeTimes(freeze, now);
}

const feed = { createdByName: 'Camille Durand', createdAt: at(-5000), renewedAt: null, revokedAt: null };

export const feeds: readonly CalendarFeed[] = sites.slice(0, 1).map(({ id, name }) => ({
  ...feed,
  ...{ id: idOf('feed', 1), kind: 'site', siteId: id, siteName: name, personId: null, personName: null },
  ...{ siteIds: [], createdBy: idOf('person', 1), lastReadAt: at(-20) },
}));

export const myFeeds: readonly CalendarFeed[] = [
  {
    ...feed,
    ...{ id: idOf('feed', 2), kind: 'person', siteId: null, siteName: null, lastReadAt: at(-8) },
    ...{ personId: idOf('person', 1), personName: 'Camille Durand', createdBy: idOf('person', 1) },
    siteIds: sites.slice(0, 2).map(({ id }) => id),
  },
];
