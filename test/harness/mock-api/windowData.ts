import type { CalendarFeed } from '#contract/feeds.ts';
import type { Calendar, Timeline } from '#contract/calendar.ts';
import type { Freeze, MaintenanceWindow, WindowPreview } from '#contract/windows.ts';
import {
  composeCalendar,
  shownConflicts,
  type CalendarFacts,
} from '../../../server/src/features/calendar/calendar.policy.ts';
import type { CalendarGroup } from '../../../server/src/features/calendar/conflicts.policy.ts';
import type { CalendarWork } from '../../../server/src/features/calendar/calendar.read-model.ts';
import {
  exceptionView,
  laneView,
  workView,
  type LaneException,
  type LaneSource,
} from '../../../server/src/features/calendar/timeline.policy.ts';
import { spansOf } from '../../../server/src/features/windows/spans.policy.ts';
import {
  comingOccurrences,
  defaultWindow,
  previewFreezeTimes,
} from '../../../server/src/features/windows/windows.policy.ts';
import { at, hosts, idOf, sites } from './fleetData.ts';
import { groups } from './groupData.ts';
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

const laneGroups: readonly CalendarGroup[] = groups.map(({ id, name, members, maxDown }) => ({
  ...{ id, name, maxDown },
  hostIds: members.map(({ hostId }) => hostId),
  siteIds: sites.slice(0, 1).map((site) => site.id),
}));

interface Shown {
  readonly id: string;
  readonly title: string;
  readonly startsAt: string;
  readonly endsAt: string;
}

/** Its hosts are members of both groups, a different one of each for every second piece of work. */
function work({ id, title, startsAt, endsAt }: Shown, turn: number): CalendarWork {
  return {
    ...{ id, planId: id, number: null, title, state: 'planned', startedAt: null },
    startsAt: new Date(startsAt),
    endsAt: new Date(endsAt),
    siteIds: sites.slice(0, 1).map((site) => site.id),
    hostIds: [1, 2, 5, 9].map((index) => hosts[index + (turn % 2) * 6]?.id ?? ''),
    expectedLowS: 5_400,
    expectedHighS: turn === 0 ? 16_200 : 9_000,
    fit: turn === 0 ? 'may_not_fit' : 'fits',
  };
}

function facts({ from = at(0), to = at(60) }: Readonly<Record<string, string>>): CalendarFacts {
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  const touches = ({ startsAt, endsAt }: CalendarWork): boolean =>
    startsAt.getTime() < toMs && endsAt.getTime() > fromMs;
  const planned = plans
    .filter(({ runId }) => runId === null)
    .map(({ id, title, notBefore, notAfter }, turn) =>
      work({ id, title, startsAt: notBefore, endsAt: notAfter }, turn),
    );
  const done = runs.map((run, turn) => {
    const [startsAt, endsAt] = [run.startedAt ?? run.notBefore, run.endedAt ?? run.notAfter];
    const { id, title, planId, number, state } = run;
    return { ...work({ id, title, startsAt, endsAt }, turn + 1), planId, number, state };
  });
  return {
    ...spansOf({ windows, freezes }, fromMs, toMs),
    plans: planned.filter(touches),
    runs: done.filter(touches),
    groups: laneGroups,
    truncated: false,
  };
}

/** What the server's own rules make of the simulated client. */
export const calendar = (query: Readonly<Record<string, string>>): Calendar => composeCalendar(facts(query));

function hostsOf({ groupId, siteId, ungrouped }: Readonly<Record<string, string>>) {
  const grouped = new Set(laneGroups.flatMap(({ hostIds }) => hostIds));
  const group = laneGroups.find(({ id }) => id === groupId);
  return hosts.filter(
    ({ id, siteId: at }) =>
      (group === undefined || group.hostIds.includes(id)) &&
      (siteId === undefined || siteId === at) &&
      (ungrouped === undefined || !grouped.has(id)),
  );
}

function laneSources(query: Readonly<Record<string, string>>): LaneSource[] {
  const base = { maxDown: null, siteIds: sites.map(({ id }) => id) };
  if (query.by === 'host')
    return hostsOf(query).map(({ id, hostname, siteId }) => ({
      ...{ ...base, kind: 'host', id, name: hostname, hosts: 1, siteIds: [siteId], hostIds: [id] },
    }));
  if (query.by === 'site')
    return sites.map(({ id, name }) => {
      const hostIds = hosts.filter(({ siteId }) => siteId === id).map((host) => host.id);
      return { ...base, kind: 'site', id, name, hosts: hostIds.length, siteIds: [id], hostIds };
    });
  const rest = hostsOf({ ungrouped: 'yes' }).map(({ id }) => id);
  return [
    ...laneGroups.map(({ id, name, hostIds, siteIds, maxDown }) => ({
      ...{ kind: 'group' as const, id, name, hosts: hostIds.length, maxDown },
      ...{ siteIds: [...siteIds], hostIds },
    })),
    { ...base, kind: 'group', id: null, name: null, hosts: rest.length, hostIds: rest },
  ];
}

/** A page of lanes, as the server's own rules make them. */
export function timeline(query: Readonly<Record<string, string>>): Timeline {
  const all = facts(query);
  const works = [...all.plans, ...all.runs];
  const exceptions: LaneException[] = [
    {
      ...{
        exceptionId: idOf('exception', 1),
        update: 'nginx',
        placeKind: 'host',
        placeId: hosts[1]?.id ?? null,
      },
      ...{ placeName: hosts[1]?.hostname ?? null, startsAt: new Date(at(-19 * 1440)) },
      endsAt: new Date(at(3 * 1440)),
    },
  ];
  const from = Number(query.cursor ?? 0);
  const next = from + Number(query.limit ?? 50);
  const lanes = laneSources(query);
  const parts = works.flatMap(({ planId, hostIds, number }) =>
    hostIds.map((hostId, index) => ({
      ...{ planId, hostId, wave: index + 1, startedAt: null, endedAt: null },
      state: number === null ? null : 'planned',
    })),
  );
  return {
    lanes: lanes
      .slice(from, next)
      .map((lane) => laneView(lane, { works, exceptions, groups: laneGroups, parts })),
    nextCursor: next < lanes.length ? String(next) : null,
    windows: all.windows,
    freezes: all.freezes,
    works: works.map(workView),
    exceptions: exceptions.map(exceptionView),
    ...shownConflicts(all),
  };
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
