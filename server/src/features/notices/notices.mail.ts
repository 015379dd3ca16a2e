import { ICalCalendar, ICalCalendarMethod, ICalEventStatus } from 'ical-generator';
import type { Notice } from '#contract/notices.ts';
import type { Mail } from '../../platform/mailer.ts';
import { daysBetween } from './notices.policy.ts';

type Locale = 'fr' | 'en';

/** What a notice speaks of; kept with it, so that every mail says the same whenever it is sent. */
export interface NoticeFacts {
  readonly title: string;
  readonly tenantName: string;
  readonly runNumber: number;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly timeZone: string;
  readonly siteIds: readonly string[];
  readonly siteNames: readonly string[];
  readonly hosts: number;
  /** Why: of an emergency, a cancellation or a postponement. */
  readonly reason: string | null;
  /** Beginning of the plan that takes the place of a postponed one; people must still release it. */
  readonly nextNotBefore: string | null;
}

interface Words {
  readonly subject: Readonly<Record<Notice['kind'], string>>;
  readonly lead: Readonly<Record<Notice['kind'], string>>;
  readonly days: (days: number) => string;
  readonly labels: Readonly<Record<'what' | 'from' | 'to' | 'sites' | 'hosts' | 'reason' | 'next', string>>;
  readonly restarts: string;
  readonly notReleased: string;
  readonly foot: (tenant: string) => string;
}

const words: Readonly<Record<Locale, Words>> = {
  fr: {
    subject: {
      planned: 'Maintenance prévue',
      emergency: 'Maintenance d’urgence',
      cancelled: 'Maintenance annulée',
      postponed: 'Maintenance reportée',
      missed: 'Maintenance non réalisée',
    },
    lead: {
      planned: 'Une maintenance est prévue et validée.',
      emergency: 'Une maintenance d’urgence est validée, hors des fenêtres habituelles.',
      cancelled: 'La maintenance annoncée ci-dessous est annulée\u00a0: rien de plus ne commence.',
      postponed:
        'La maintenance annoncée ci-dessous est reportée\u00a0: elle n’aura pas lieu à la date indiquée.',
      missed: 'La maintenance annoncée ci-dessous n’a pas eu lieu\u00a0: aucun serveur n’a été modifié.',
    },
    days: (days) => (days === 0 ? 'Elle commence dans moins d’un jour.' : `Elle commence dans ${days} j.`),
    labels: {
      ...{ what: 'Objet', from: 'Début', to: 'Fin au plus tard', sites: 'Sites', hosts: 'Serveurs' },
      ...{ reason: 'Motif', next: 'Nouvelle date proposée' },
    },
    restarts: 'Des services peuvent être interrompus et des serveurs redémarrer pendant ce temps.',
    notReleased: 'Cette nouvelle date doit encore être validée\u00a0; un autre message le confirmera.',
    foot: (tenant) =>
      `Message automatique d’ATLAS ORCHESTRATOR pour ${tenant}. L’événement joint s’ajoute à votre agenda.`,
  },
  en: {
    subject: {
      planned: 'Planned maintenance',
      emergency: 'Emergency maintenance',
      cancelled: 'Maintenance cancelled',
      postponed: 'Maintenance postponed',
      missed: 'Maintenance not carried out',
    },
    lead: {
      planned: 'Maintenance is planned and has been released.',
      emergency: 'Emergency maintenance has been released, outside the usual windows.',
      cancelled: 'The maintenance announced below is cancelled: nothing more begins.',
      postponed: 'The maintenance announced below is postponed: it will not take place at the time given.',
      missed: 'The maintenance announced below did not take place: no server was changed.',
    },
    days: (days) =>
      days === 0
        ? 'It begins in less than a day.'
        : days === 1
          ? 'It begins in 1 day.'
          : `It begins in ${days} days.`,
    labels: {
      ...{ what: 'What', from: 'Begins', to: 'Ends at the latest', sites: 'Sites', hosts: 'Servers' },
      ...{ reason: 'Reason', next: 'Proposed new date' },
    },
    restarts: 'Services may be interrupted and servers may restart in that time.',
    notReleased: 'This new date must still be released; another message will confirm it.',
    foot: (tenant) =>
      `Automatic message of ATLAS ORCHESTRATOR for ${tenant}. The attached event fits into your calendar.`,
  },
};

/** The instant on the site's clock and in UTC, so that nobody has to guess. */
export function sayTime(instant: string, timeZone: string, locale: Locale): string {
  const tag = locale === 'fr' ? 'fr-FR' : 'en-GB';
  const at = new Date(instant);
  const local = new Intl.DateTimeFormat(tag, { dateStyle: 'full', timeStyle: 'short', timeZone }).format(at);
  const day = new Intl.DateTimeFormat(tag, {
    ...{ day: '2-digit', month: '2-digit', hour: '2-digit', minute: '2-digit' },
    timeZone: 'UTC',
  }).format(at);
  return `${local} (${timeZone}) — ${day} UTC`;
}

/** iCalendar (RFC 5545): the same UID for a run's notices, so that a cancellation takes the entry away (RFC 5546). */
function calendarOf(kind: Notice['kind'], facts: NoticeFacts, ids: Ids): Mail['calendar'] {
  const coming = kind === 'planned' || kind === 'emergency';
  const calendar = new ICalCalendar({
    prodId: { company: 'ATLAS', product: 'ATLAS ORCHESTRATOR', language: 'FR' },
    method: coming ? ICalCalendarMethod.PUBLISH : ICalCalendarMethod.CANCEL,
  });
  calendar.createEvent({
    id: `run-${ids.runId}@atlas`,
    sequence: coming ? 0 : 1,
    stamp: new Date(ids.createdAtMs),
    start: new Date(facts.notBefore),
    end: new Date(facts.notAfter),
    summary: `ATLAS · ${facts.title}`,
    location: facts.siteNames.join(', '),
    status: coming ? ICalEventStatus.CONFIRMED : ICalEventStatus.CANCELLED,
    organizer: { name: 'ATLAS ORCHESTRATOR', email: ids.from },
  });
  return { method: coming ? 'PUBLISH' : 'CANCEL', content: calendar.toString() };
}

interface Ids {
  readonly runId: string;
  readonly createdAtMs: number;
  readonly from: string;
}

/** The mail of a notice in one language. Pure: `nowMs` says how many days are left. */
export function mailOf(
  notice: { readonly kind: Notice['kind']; readonly facts: NoticeFacts } & Ids,
  to: { readonly id: string; readonly address: string; readonly locale: Locale },
  nowMs: number,
): Mail {
  const { kind, facts } = notice;
  const say = words[to.locale];
  const at = (instant: string): string => sayTime(instant, facts.timeZone, to.locale);
  const coming = kind === 'planned' || kind === 'emergency';
  const line = (label: keyof Words['labels'], value: string): string =>
    `${say.labels[label]}${to.locale === 'fr' ? '\u00a0' : ''}: ${value}`;
  const lines = [
    coming
      ? `${say.lead[kind]} ${say.days(daysBetween(nowMs, Date.parse(facts.notBefore)))}`
      : say.lead[kind],
    '',
    line('what', `${facts.title} (n° ${facts.runNumber})`),
    line('from', at(facts.notBefore)),
    line('to', at(facts.notAfter)),
    line('sites', facts.siteNames.join(', ')),
    line('hosts', String(facts.hosts)),
    ...(facts.reason === null ? [] : [line('reason', facts.reason)]),
    ...(facts.nextNotBefore === null ? [] : ['', line('next', at(facts.nextNotBefore)), say.notReleased]),
    ...(coming ? ['', say.restarts] : []),
    '',
    '-- ',
    say.foot(facts.tenantName),
  ];
  return {
    to: to.address,
    id: to.id,
    subject: `[ATLAS] ${say.subject[kind]} — ${facts.title}`,
    text: lines.join('\n'),
    calendar: calendarOf(kind, facts, notice),
  };
}
