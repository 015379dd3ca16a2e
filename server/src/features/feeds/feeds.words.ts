/** A calendar program has no catalogue of ours: what it shows is written here, in the reader's language. */
export type FeedLocale = 'fr' | 'en';

const kinds = {
  fr: {
    window: 'Fenêtre',
    freeze: 'Gel',
    plan: 'Plan',
    toSign: 'À valider',
    waiting: 'En attente de validation',
    exception: 'Fin de dérogation',
    run: 'Exécution',
  },
  en: {
    window: 'Window',
    freeze: 'Freeze',
    plan: 'Plan',
    toSign: 'To approve',
    waiting: 'Waiting for approval',
    exception: 'Exception ends',
    run: 'Run',
  },
} as const;

const runStates: Readonly<Record<FeedLocale, Readonly<Record<string, string>>>> = {
  fr: {
    scheduled: 'prévue',
    running: 'en cours',
    paused: 'en pause',
    stopping: 'en arrêt',
    completed: 'terminée',
    completed_with_failures: 'terminée avec des échecs',
    cancelled: 'annulée',
    expired: 'non effectuée',
  },
  en: {
    scheduled: 'scheduled',
    running: 'under way',
    paused: 'paused',
    stopping: 'stopping',
    completed: 'completed',
    completed_with_failures: 'completed with failures',
    cancelled: 'cancelled',
    expired: 'did not take place',
  },
};

const roles = {
  fr: {
    toSign: 'Votre signature est attendue avant le début.',
    mine: 'Demandé par vous.',
    signed: 'Signé par vous.',
  },
  en: {
    toSign: 'Your signature is needed before it begins.',
    mine: 'Asked for by you.',
    signed: 'Signed by you.',
  },
} as const;

const everything = { fr: 'toutes les mises à jour', en: 'every update' } as const;

/** The line of an event that is no run; without a name it is about every update. */
export function sayKind(locale: FeedLocale, kind: keyof (typeof kinds)['fr'], name: string | null): string {
  return `ATLAS · ${kinds[locale][kind]} · ${name ?? everything[locale]}`;
}

/** The line of a run, with what has become of it. */
export function sayRun(
  locale: FeedLocale,
  { number, title, state }: { readonly number: number; readonly title: string; readonly state: string },
): string {
  const word = runStates[locale][state] ?? state;
  return `ATLAS · ${kinds[locale].run} ${number} (${word}) · ${title}`;
}

/** What it has to do with the reader, and how much it is. */
export function sayRole(
  locale: FeedLocale,
  { hosts, role }: { readonly hosts: number; readonly role: keyof (typeof roles)['fr'] },
): string {
  const plural = new Intl.PluralRules(locale).select(hosts) === 'one' ? '' : 's';
  const count = locale === 'fr' ? `${hosts} serveur${plural}` : `${hosts} host${plural}`;
  return `${count}. ${roles[locale][role]}`;
}

/** The name of a person's calendar. */
export function sayMine(locale: FeedLocale, tenantName: string): string {
  return locale === 'fr' ? `ATLAS · ${tenantName} · pour moi` : `ATLAS · ${tenantName} · mine`;
}
