import type { Calendar } from '#contract/calendar.ts';
import type { PersonalEnd, PersonalWork } from './feeds.read-model.ts';
import type { Entry } from './ics.policy.ts';
import { sayKind, sayRole, sayRun, type FeedLocale } from './feeds.words.ts';

/** When each thing last changed. */
export interface Revisions {
  readonly rulesAt: Date;
  readonly plans: ReadonlyMap<string, Date>;
  readonly runs: ReadonlyMap<string, Date>;
}

const never = new Date(0);
const minuteMs = 60_000;
const given = (siteId: string | null, siteIds: readonly string[]): boolean =>
  siteId === null || siteIds.includes(siteId);

function statusOf(state: string): Entry['status'] {
  if (state === 'cancelled' || state === 'expired') return 'cancelled';
  return state === 'planned' || state === 'awaiting_signatures' ? 'tentative' : 'confirmed';
}

/**
 * Windows and freezes of these sites. A window's identifier holds its local date, for it begins at most once a day:
 * another hour is the same event revised. Reasons, hosts and people are not in it.
 */
export function ruleEntries(
  { windows, freezes }: Pick<Calendar, 'windows' | 'freezes'>,
  siteIds: readonly string[],
  { locale, revisedAt }: { readonly locale: FeedLocale; readonly revisedAt: Date },
): Entry[] {
  const rest = { status: 'confirmed', busy: false, revisedAt } as const;
  const offered = windows
    .filter(({ siteId }) => given(siteId, siteIds))
    .flatMap(({ windowId, name, occurrence }) =>
      occurrence.pieces.map(({ start, end }, n): Entry => ({
        id: `window-${windowId}-${occurrence.start.local.slice(0, 10)}-${n}`,
        start: new Date(start.at),
        end: new Date(end.at),
        summary: sayKind(locale, 'window', name),
        ...rest,
      })),
    );
  const frozen = freezes
    .filter(({ siteId }) => given(siteId, siteIds))
    .map(({ freezeId, name, startsAt, endsAt }): Entry => ({
      id: `freeze-${freezeId}-${startsAt.slice(0, 10)}`,
      start: new Date(startsAt),
      end: new Date(endsAt),
      summary: sayKind(locale, 'freeze', name),
      ...rest,
    }));
  return [...offered, ...frozen];
}

/** Plans and runs on a site. A run takes over its plan's event. */
export function workEntries(
  { plans, runs }: Pick<Calendar, 'plans' | 'runs'>,
  siteId: string,
  revisions: Revisions,
): Entry[] {
  const planned = plans
    .filter(({ siteIds }) => siteIds.includes(siteId))
    .map(({ planId, title, notBefore, notAfter }): Entry => ({
      id: `plan-${planId}`,
      start: new Date(notBefore),
      end: new Date(notAfter),
      summary: sayKind('fr', 'plan', title),
      status: 'tentative',
      busy: false,
      revisedAt: revisions.plans.get(planId) ?? never,
    }));
  const carried = runs
    .filter(({ siteIds }) => siteIds.includes(siteId))
    .map(({ runId, planId, number, title, state, startsAt, endsAt }): Entry => ({
      id: `plan-${planId}`,
      start: new Date(startsAt),
      end: new Date(endsAt),
      summary: sayRun('fr', { number, title, state }),
      status: statusOf(state),
      busy: statusOf(state) === 'confirmed',
      revisedAt: revisions.runs.get(runId) ?? never,
    }));
  return [...planned, ...carried];
}

/** What a person may sign now, of which classes. */
export interface Signing {
  readonly nowMs: number;
  readonly classes: readonly string[];
}

/** Whether this waits for the person's own signature: of a kind that he may give, asked for by somebody else, and not over. */
function waitsForMe(work: PersonalWork, { nowMs, classes }: Signing): boolean {
  const { state, isMine, isSigned, endsAt } = work;
  const open = state === 'awaiting_signatures' && endsAt.getTime() > nowMs;
  return open && !isMine && !isSigned && classes.includes(work.class ?? '');
}

/** Plans that wait for the person, and what he asked for or signed. */
export function personalEntries(
  works: readonly PersonalWork[],
  signing: Signing,
  words: { readonly locale: FeedLocale; readonly pageOf: (work: PersonalWork) => string },
): Entry[] {
  const { locale, pageOf } = words;
  return works
    .map((work) => ({ work, asked: waitsForMe(work, signing) }))
    .filter(({ work, asked }) => asked || work.isMine || work.isSigned)
    .map(({ work, asked }): Entry => {
      const { planId, number, title, state, startsAt, endsAt, revisedAt, hosts } = work;
      const kind = asked ? 'toSign' : state === 'awaiting_signatures' ? 'waiting' : 'plan';
      return {
        id: `plan-${planId}`,
        start: startsAt,
        end: endsAt,
        summary: number === null ? sayKind(locale, kind, title) : sayRun(locale, { number, title, state }),
        description: sayRole(locale, { hosts, role: asked ? 'toSign' : work.isMine ? 'mine' : 'signed' }),
        url: pageOf(work),
        status: statusOf(state),
        busy: number !== null && statusOf(state) === 'confirmed',
        revisedAt,
      };
    });
}

/** Ends of the exceptions that the person answers for, each a quarter of an hour that ends with it. */
export function endEntries(
  ends: readonly PersonalEnd[],
  { locale, url }: { readonly locale: FeedLocale; readonly url: string },
): Entry[] {
  return ends.map(({ exceptionId, name, placeName, expiresAt, revisedAt }) => ({
    id: `exception-${exceptionId}`,
    start: new Date(expiresAt.getTime() - 15 * minuteMs),
    end: expiresAt,
    summary: [sayKind(locale, 'exception', name), placeName].filter((part) => part !== null).join(' · '),
    url,
    status: 'confirmed',
    busy: false,
    revisedAt,
  }));
}
