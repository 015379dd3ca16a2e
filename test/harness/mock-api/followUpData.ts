import type { EmergencyReport, Replacement, RunFollowUp } from '#contract/followups.ts';
import type { Notice, NoticeSettings } from '#contract/notices.ts';
import { at, idOf, sites } from './fleetData.ts';
import { people } from './releaseData.ts';
import { runs } from './runData.ts';

type MailState = Notice['mails'][number]['state'];

const mail = (index: number, state: MailState, bend: Partial<Notice['mails'][number]> = {}) => ({
  id: idOf('noticeMail', index),
  personName: people[index % people.length]?.name ?? null,
  address: people[index % people.length]?.email ?? 'astreinte@ch-nord.example',
  locale: 'fr' as const,
  state,
  attempts: 1,
  nextAttemptAt: null,
  endedAt: state === 'waiting' ? null : at(-59),
  reply: state === 'sent' ? '250 2.0.0 Ok: queued' : null,
  maybeTwice: false,
  ...bend,
});

/** One notice that reached most people, and the cancellation that is being sent. */
export const planNotices: { readonly items: readonly Notice[]; readonly mailOn: boolean } = {
  mailOn: true,
  items: [
    {
      ...{ id: idOf('notice', 1), runId: idOf('run', 42), kind: 'planned', state: 'partly_sent' },
      ...{ dueAt: at(-60), createdAt: at(-4000), endedAt: at(-58), daysAhead: 4, withoutAddress: 1 },
      mails: [
        mail(0, 'sent'),
        mail(1, 'sent', { attempts: 2, maybeTwice: true }),
        mail(2, 'failed', { reply: '550 5.1.1 Recipient address rejected: User unknown' }),
        mail(3, 'sent', { personName: null, address: 'astreinte@prestataire.example' }),
      ],
    },
    {
      ...{ id: idOf('notice', 2), runId: idOf('run', 42), kind: 'cancelled', state: 'sending' },
      ...{ dueAt: at(-2), createdAt: at(-2), endedAt: null, daysAhead: 3, withoutAddress: 0 },
      mails: [mail(4, 'waiting', { attempts: 3, nextAttemptAt: at(8), reply: '451 4.3.0 Try again later' })],
    },
  ],
};

export const noticeSettings: NoticeSettings = {
  roles: ['tenant_admin', 'client_viewer'],
  addresses: [
    { address: 'astreinte@prestataire.example', locale: 'fr', siteId: null },
    { address: 'biomed@ch-nord.example', locale: 'en', siteId: sites[0]?.id ?? null },
  ],
  mailOn: false,
  version: 3,
};

const about = (index: number) => {
  const run = runs[index % runs.length];
  return { runId: run?.id ?? idOf('run'), runNumber: run?.number ?? 0, title: run?.title ?? '—' };
};

const missed: Replacement = {
  ...about(3),
  ...{ cause: 'missed', policy: 'next_occurrence', state: 'asks', hosts: 6, obstacle: 'frozen' },
  ...{ nextPlanId: null, reason: null, decidedByName: null, decidedAt: null },
};

const emergency: EmergencyReport = {
  ...about(2),
  reason: 'Faille du serveur de fichiers, exploitée depuis ce matin chez d’autres hôpitaux.',
  ...{ state: 'overdue', dueAt: at(-600), text: null, writtenByName: null, writtenAt: null },
};

export const followUps = { missed: [missed], emergencies: [emergency] };

/** What follows a run, by its identifier; nothing for most. */
export function followUpOf(runId: string): RunFollowUp {
  return {
    replacement: runId === missed.runId ? missed : null,
    emergency: runId === emergency.runId ? emergency : null,
    postponableUntil: runs.find(({ id }) => id === runId)?.state === 'scheduled' ? at(2000) : null,
  };
}
