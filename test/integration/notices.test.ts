import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Notice, NoticeSettings } from '#contract/notices.ts';
import type { MaintenancePolicy } from '#contract/plans.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { MailRelay } from '../harness/mail-relay.ts';
import { monthly, ReleaseDesk } from '../harness/release-desk.ts';

let desk: ReleaseDesk;
let relay: MailRelay;
let policyId: string;
let hosts = 0;
const files = ['relay-ca.pem', 'relay-password'].map((name) => path.join(tmpdir(), `${process.pid}-${name}`));
const dayMs = 86_400_000;
const patience = { timeout: 20_000, interval: 50 };

beforeAll(async () => {
  relay = await MailRelay.start();
  const [ca = '', password = ''] = files;
  await writeFile(ca, relay.ca);
  await writeFile(password, relay.account.password);
  desk = await ReleaseDesk.open(
    {
      ...{ chief: ['tenant_admin'], olga: ['operator'], zoe: ['client_viewer'], silent: ['client_viewer'] },
      ...{ alice: ['approver'], bernard: ['approver'] },
    },
    {
      environment: {
        ATLAS_SMTP_HOST: '127.0.0.1',
        ATLAS_SMTP_PORT: String(relay.port),
        ATLAS_SMTP_CA_FILE: ca,
        ATLAS_SMTP_USER: relay.account.user,
        ATLAS_SMTP_PASSWORD_FILE: password,
        ATLAS_SMTP_FROM: 'atlas@clinique.test',
      },
    },
  );
  await desk.query(`update people set email = username || '@clinique.test' where username <> 'silent'`);
  await desk.query(`update people set locale = 'en' where username = 'zoe'`);
  for (const name of ['alice', 'bernard']) await desk.enrolKey(name);
  await desk.publish('chief');
  ({ id: policyId } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
    body: monthly,
  }));
}, 120_000);

afterAll(async () => {
  await desk.close();
  await relay.stop();
  await Promise.all(files.map((file) => rm(file)));
});

beforeEach(() => {
  relay.taken.length = 0;
  relay.behaviour = () => 'take';
});

/** A released run that begins in so many days; nobody hears of it before its notice is due. */
async function released(inDays: number): Promise<{ planId: string; runId: string; title: string }> {
  hosts += 1;
  const title = `Nuit ${hosts}`;
  const startMs = Date.now() + inDays * dayMs + 60_000;
  const { plan } = await desk.plan(
    'olga',
    desk.request(policyId, [await desk.host(`annonce-${hosts}`)], {
      title,
      notBefore: new Date(startMs).toISOString(),
      notAfter: new Date(startMs + 4 * 3_600_000).toISOString(),
    }),
  );
  const draft = await desk.draft('olga', plan.id);
  await desk.sign('alice', draft.body);
  const { body } = await desk.sign('bernard', draft.body);
  return { planId: plan.id, runId: body.release.runId, title };
}

const noticesOf = async (planId: string): Promise<Notice[]> =>
  (await desk.must<{ items: Notice[] }>('olga', 'listPlanNotices', { params: { planId } })).items;

function ended(planId: string, count = 1): Promise<Notice[]> {
  return vi.waitFor(async () => {
    const found = await noticesOf(planId);
    expect(found.filter(({ endedAt }) => endedAt !== null)).toHaveLength(count);
    return found;
  }, patience);
}

const entries = async (runId: string): Promise<string[]> =>
  (
    await desk.query<{ action: string }>(
      `select action from audit_entries where subject_id = $1 and action like 'notice.%' order by entry_id`,
      [runId],
    )
  ).map(({ action }) => action);

const hurry = () =>
  desk.query(`update notice_mails set next_attempt_at = now() where state = 'waiting' and attempts > 0`);

describe('a released run', () => {
  it('is announced once, to members by role and to addresses of its site, each in their language', async () => {
    const before = await desk.must<NoticeSettings>('chief', 'getNoticeSettings');
    expect(before).toMatchObject({ mailOn: true, version: 0, addresses: [] });
    const { id: elsewhere } = await desk.must<{ id: string }>('chief', 'createSite', {
      body: { name: 'Ailleurs', timeZone: 'Europe/Paris' },
    });
    const addresses = [
      { address: 'astreinte@client.test', locale: 'fr', siteId: desk.siteId },
      { address: 'ZOE@clinique.test', locale: 'fr', siteId: null },
      { address: 'loin@client.test', locale: 'fr', siteId: elsewhere },
    ];
    await desk.must('chief', 'updateNoticeSettings', {
      body: { roles: ['client_viewer'], addresses },
      version: before.version,
    });
    const { planId, runId, title } = await released(2);
    const [notice] = await ended(planId);
    expect(notice).toMatchObject({ kind: 'planned', state: 'sent', daysAhead: 2, withoutAddress: 1 });
    expect(notice?.mails.map(({ address, state, attempts }) => [address, state, attempts])).toEqual([
      ['astreinte@client.test', 'sent', 1],
      ['zoe@clinique.test', 'sent', 1],
    ]);
    expect(notice?.mails.map(({ personName }) => personName)).toEqual([null, 'zoe']);
    expect(relay.taken.map(({ to, subject }) => [to, subject]).sort()).toEqual([
      ['astreinte@client.test', `[ATLAS] Maintenance prévue — ${title}`],
      ['zoe@clinique.test', `[ATLAS] Planned maintenance — ${title}`],
    ]);
    const calendar = relay.taken[0]?.parts.get('text/calendar');
    expect(calendar).toContain(`UID:run-${runId}@atlas`);
    expect(calendar).toContain('METHOD:PUBLISH');
    expect(await entries(runId)).toEqual([
      'notice.created',
      'notice.mail_ended',
      'notice.mail_ended',
      'notice.ended',
    ]);
    const leaves = await desk.query<{ leaf: Buffer }>(
      'select leaf from audit_entries where subject_id = $1',
      [runId],
    );
    expect(leaves.some(({ leaf }) => leaf.toString().includes('@client'))).toBe(false);
  });

  it('that is far away is announced seven days ahead, and not at all when it is cancelled before', async () => {
    const { planId, runId } = await released(20);
    const [notice] = await noticesOf(planId);
    expect(notice).toMatchObject({ state: 'waiting', daysAhead: 7, mails: [] });
    await desk.must('olga', 'cancelRun', { params: { runId }, body: { reason: 'Trop tôt' } });
    const all = await noticesOf(planId);
    expect(all.map(({ kind, state }) => [kind, state])).toEqual([['planned', 'superseded']]);
    await desk.query(`update notices set due_at = now() where plan_id = $1`, [planId]);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(relay.taken).toEqual([]);
    expect(await entries(runId)).toEqual(['notice.created', 'notice.superseded']);
  });

  it('that is cancelled after it was announced is taken back from exactly those who were told', async () => {
    const { planId, runId, title } = await released(2);
    await ended(planId);
    await desk.must('chief', 'updateNoticeSettings', {
      body: { roles: ['operator'], addresses: [] },
      version: (await desk.must<NoticeSettings>('chief', 'getNoticeSettings')).version,
    });
    relay.taken.length = 0;
    await desk.must('olga', 'cancelRun', { params: { runId }, body: { reason: 'Reporté par le client' } });
    const all = await ended(planId, 2);
    expect(all.map(({ kind, state }) => [kind, state])).toEqual([
      ['planned', 'sent'],
      ['cancelled', 'sent'],
    ]);
    expect(relay.taken.map(({ to }) => to).sort()).toEqual(['astreinte@client.test', 'zoe@clinique.test']);
    const french = relay.taken.find(({ to }) => to.startsWith('astreinte'));
    expect(french?.subject).toBe(`[ATLAS] Maintenance annulée — ${title}`);
    expect(french?.parts.get('text/plain')).toContain('Reporté par le client');
    expect(french?.parts.get('text/calendar')).toContain('METHOD:CANCEL');
    expect(french?.parts.get('text/calendar')).toContain('SEQUENCE:1');
  });
});

describe('a relay that does not take mails', () => {
  it('is asked again when it refuses for now, and nobody who has it gets it twice', async () => {
    let refusals = 1;
    relay.behaviour = () => (refusals-- > 0 ? 451 : 'take');
    const { planId } = await released(1);
    await vi.waitFor(async () => {
      const [notice] = await noticesOf(planId);
      expect(notice?.mails[0]).toMatchObject({ state: 'waiting', attempts: 1, maybeTwice: false });
      expect(notice?.mails[0]?.reply).toContain('451');
      expect(notice?.mails[0]?.nextAttemptAt).not.toBeNull();
    }, patience);
    await hurry();
    const [notice] = await ended(planId);
    expect(notice?.mails.map(({ personName, attempts }) => [personName, attempts])).toEqual([
      ['Person olga', 2],
    ]);
    expect(relay.taken).toHaveLength(1);
  });

  it('for good is believed, and the notice says that nobody was told', async () => {
    relay.behaviour = () => 550;
    const { planId, runId } = await released(1);
    const [notice] = await ended(planId);
    expect(notice).toMatchObject({ state: 'failed', mails: [{ state: 'failed', attempts: 1 }] });
    await desk.must('olga', 'cancelRun', { params: { runId }, body: { reason: 'Essai' } });
    // Nobody was told, so nobody is told that it is cancelled.
    expect(await noticesOf(planId)).toHaveLength(1);
  });

  it('and takes a mail without answering makes it come twice, which is said', async () => {
    let lost = 1;
    relay.behaviour = () => (lost-- > 0 ? 'take_and_hang_up' : 'take');
    const { planId } = await released(1);
    await vi.waitFor(async () => {
      expect((await noticesOf(planId))[0]?.mails[0]).toMatchObject({ state: 'waiting', maybeTwice: true });
    }, patience);
    await hurry();
    const [notice] = await ended(planId);
    expect(notice?.mails[0]).toMatchObject({ state: 'sent', attempts: 2, maybeTwice: true });
    expect(new Set(relay.taken.map(({ raw }) => /^message-id: (.*)$/im.exec(raw)?.[1])).size).toBe(1);
  });

  it('until all attempts are used is given up, with its last answer', async () => {
    relay.behaviour = () => 421;
    const { planId } = await released(1);
    await vi.waitFor(async () => {
      expect((await noticesOf(planId))[0]?.mails[0]).toMatchObject({ state: 'waiting', attempts: 1 });
    }, patience);
    await desk.query(`update notice_mails set attempts = 7 where state = 'waiting'`);
    await hurry();
    const [notice] = await ended(planId);
    expect(notice).toMatchObject({ state: 'failed', mails: [{ attempts: 8, state: 'failed' }] });
    expect(notice?.mails[0]?.reply).toContain('421');
  });

  it('is not asked again by a process that died in the conversation before its lease ends', async () => {
    const { planId, runId } = await released(1);
    await ended(planId);
    await desk.query(
      `update notice_mails set state = 'sending', lease_until = now() - interval '1 second'
       where notice_id in (select id from notices where run_id = $1)`,
      [runId],
    );
    await desk.query(`update notices set state = 'sending', ended_at = null where run_id = $1`, [runId]);
    const [notice] = await ended(planId);
    expect(notice?.mails[0]).toMatchObject({ state: 'sent', attempts: 2, maybeTwice: true });
  });
});

describe('who is told', () => {
  it('is refused with an address that is named twice, a site that is not here, or an old version', async () => {
    const one = { address: 'a@client.test', locale: 'fr', siteId: null };
    const { version } = await desk.must<NoticeSettings>('chief', 'getNoticeSettings');
    const cases = [
      [[one, { ...one, address: 'A@client.test' }], '/body/addresses/1/address', 'unique'],
      [[{ ...one, siteId: newId() }], '/body/addresses/0/siteId', 'exists'],
    ] as const;
    for (const [addresses, field, rule] of cases) {
      const wish = { body: { roles: [], addresses }, version };
      const { status, body } = await desk.ask('chief', 'updateNoticeSettings', wish);
      expect([status, body.fields?.[0]?.path, body.fields?.[0]?.rule]).toEqual([400, field, rule]);
    }
    const old = await desk.ask('chief', 'updateNoticeSettings', {
      body: { roles: [], addresses: [] },
      version: version - 1,
    });
    expect(old.body.code).toBe('precondition_failed');
  });

  it('is not shown to a client, and not changed by an approver', async () => {
    const { planId } = await released(1);
    const shown = await desk.ask('zoe', 'listPlanNotices', { params: { planId } });
    const changed = await desk.ask('alice', 'updateNoticeSettings', {
      body: { roles: [], addresses: [] },
      version: 1,
    });
    expect([shown.body.code, changed.body.code]).toEqual(['forbidden', 'forbidden']);
  });
});
