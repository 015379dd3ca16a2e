import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EmergencyReport, Replacement, RunFollowUp } from '#contract/followups.ts';
import type { Notice } from '#contract/notices.ts';
import type { MaintenancePolicy, PlanDetail } from '#contract/plans.ts';
import type { Freeze, MaintenanceWindow, WindowBody } from '#contract/windows.ts';
import { monthly, nights, ReleaseDesk, yearEnd } from '../harness/release-desk.ts';

let desk: ReleaseDesk;
let policyId: string;
let count = 0;
const dayMs = 86_400_000;
const patience = { timeout: 20_000, interval: 50 };
const reason = { reason: 'Essai' };

beforeAll(async () => {
  desk = await ReleaseDesk.open({
    ...{ chief: ['tenant_admin'], olga: ['operator'], zoe: ['client_viewer'] },
    ...{ alice: ['approver'], bernard: ['approver'] },
  });
  for (const name of ['alice', 'bernard']) await desk.enrolKey(name);
  await desk.publish('chief');
  ({ id: policyId } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
    body: monthly,
  }));
}, 120_000);

afterAll(() => desk.close());

async function freezeFor(days: number): Promise<Freeze> {
  count += 1;
  const [startsAt, endsAt] = [-dayMs, days * dayMs].map((ms) => new Date(Date.now() + ms).toISOString());
  const when = { kind: 'once', startsAt, endsAt };
  return desk.must<Freeze>('chief', 'createFreeze', { body: { ...yearEnd, name: `Gel ${count}`, when } });
}

const lift = ({ id, version }: Freeze) =>
  desk.must('chief', 'removeFreeze', { params: { freezeId: id }, version });

async function approve(planId: string): Promise<string> {
  const draft = await desk.draft('olga', planId);
  await desk.sign('alice', draft.body);
  return (await desk.sign('bernard', draft.body)).body.release.runId;
}

interface Made {
  readonly runId: string;
  readonly plan: PlanDetail['plan'];
  readonly hostId: string;
}

/** A released run in the first night after so many days: never one that is going on while the test runs. */
async function released(bend: Partial<WindowBody> = {}, inDays = 1): Promise<Made> {
  count += 1;
  const body = { ...nights, name: `Nuits ${count}`, ...bend };
  const { id: windowId } = await desk.must<MaintenanceWindow>('chief', 'createWindow', { body });
  const hostId = await desk.host(`suite-${count}`);
  const freeze = await freezeFor(inDays);
  const request = { policyId, title: `Nuit ${count}`, hostIds: [hostId], windowIds: [windowId] };
  const { plan } = await desk.must<PlanDetail>('olga', 'createPlan', { body: request });
  await lift(freeze);
  return { runId: await approve(plan.id), plan, hostId };
}

const followUp = (runId: string) => desk.must<RunFollowUp>('olga', 'getRunFollowUp', { params: { runId } });

async function runState(runId: string): Promise<string | undefined> {
  return (await desk.query<{ state: string }>('select state from runs where id = $1', [runId]))[0]?.state;
}

/** Its time goes by; what becomes of it settles. */
async function miss(runId: string, state: Replacement['state']): Promise<Replacement> {
  await desk.query(
    `update runs set not_before = now() - interval '2 hours', start_by = now() - interval '1 hour', deadline_at = now()
     where id = $1`,
    [runId],
  );
  return vi.waitFor(async () => {
    const { replacement } = await followUp(runId);
    expect(replacement?.state).toBe(state);
    if (replacement === null) throw new Error('nothing follows');
    return replacement;
  }, patience);
}

const entries = async (runId: string): Promise<string[]> =>
  (
    await desk.query<{ action: string }>(
      `select action from audit_entries where subject_id = $1
       and (action like 'missed_run.%' or action like 'emergency_report.%' or action = 'run.postponed') order by entry_id`,
      [runId],
    )
  ).map(({ action }) => action);

describe('a run that missed its window', () => {
  it('is planned for the next occurrence when its window says so, and waits for a new release', async () => {
    const { runId, plan, hostId } = await released({ missedRun: 'next_occurrence' });
    const { nextPlanId, hosts, policy } = await miss(runId, 'replanned');
    expect([hosts, policy]).toEqual([1, 'next_occurrence']);
    const next = await desk.must<PlanDetail>('olga', 'getPlan', { params: { planId: nextPlanId ?? '' } });
    expect(next.plan).toMatchObject({ state: 'planned', title: plan.title, releaseId: null });
    expect(next.plan.createdBy).toBe(plan.createdBy);
    expect(next.preview.hosts.map((host) => host.hostId)).toEqual([hostId]);
    expect(Date.parse(next.plan.notAfter)).toBeGreaterThan(Date.now());
    expect(await runState(runId)).toBe('expired');
    expect(await entries(runId)).toEqual(['missed_run.recorded', 'missed_run.replanned']);
  });

  it('is left when its window says so', async () => {
    const { runId } = await released({ missedRun: 'skip' });
    expect(await miss(runId, 'skipped')).toMatchObject({ nextPlanId: null, policy: 'skip' });
    expect(await entries(runId)).toEqual(['missed_run.recorded']);
  });

  it('asks a person otherwise, once', async () => {
    const { runId } = await released();
    await miss(runId, 'asks');
    const open = await desk.must<{ missed: Replacement[] }>('olga', 'listFollowUps');
    expect(open.missed.map((one) => one.runId)).toContain(runId);
    const wish = { params: { runId }, body: { answer: 'next_occurrence', ...reason } };
    expect((await desk.ask('zoe', 'answerMissedRun', wish)).body.code).toBe('forbidden');
    const answered = await desk.must<RunFollowUp>('olga', 'answerMissedRun', wish);
    expect(answered.replacement).toMatchObject({ state: 'replanned', reason: 'Essai' });
    expect((await desk.ask('olga', 'answerMissedRun', wish)).body.code).toBe('transition_refused');
    const left = await desk.must<{ missed: Replacement[] }>('olga', 'listFollowUps');
    expect(left.missed.map((one) => one.runId)).not.toContain(runId);
  });

  it('asks a person too when the next occurrence cannot be planned, and says why', async () => {
    const { runId } = await released({ missedRun: 'next_occurrence' });
    const freeze = await freezeFor(60);
    expect(await miss(runId, 'asks')).toMatchObject({ obstacle: 'frozen', nextPlanId: null });
    const wish = { params: { runId }, body: { answer: 'next_occurrence', ...reason } };
    expect((await desk.ask('olga', 'answerMissedRun', wish)).body.code).toBe('frozen');
    await lift(freeze);
    expect((await desk.must<RunFollowUp>('olga', 'answerMissedRun', wish)).replacement?.state).toBe(
      'replanned',
    );
  });
});

describe('a postponement', () => {
  it('cancels the run and plans the occurrence after it, which waits for a new release', async () => {
    const { runId, plan } = await released({}, 3.5);
    const { postponableUntil } = await followUp(runId);
    expect(Date.parse(plan.notBefore) - Date.parse(postponableUntil ?? '')).toBe(3 * dayMs);
    const made = await desk.must<RunFollowUp>('olga', 'postponeRun', { params: { runId }, body: reason });
    expect(made.replacement).toMatchObject({ cause: 'postponed', state: 'replanned', reason: 'Essai' });
    const params = { planId: made.replacement?.nextPlanId ?? '' };
    const next = await desk.must<PlanDetail>('olga', 'getPlan', { params });
    expect(Date.parse(next.plan.notBefore)).toBeGreaterThan(Date.parse(plan.notAfter));
    expect(next.plan.state).toBe('planned');
    await vi.waitFor(async () => expect(await runState(runId)).toBe('cancelled'), patience);
    expect(await entries(runId)).toEqual(['run.postponed']);
    const again = await desk.ask('olga', 'postponeRun', { params: { runId }, body: reason });
    expect(again.body.code).toBe('transition_refused');
  });

  it('is refused later than three days before, and changes nothing then', async () => {
    const { runId } = await released();
    const refused = await desk.ask('olga', 'postponeRun', { params: { runId }, body: reason });
    expect([refused.status, refused.body.code]).toEqual([409, 'transition_refused']);
    expect((await desk.ask('zoe', 'postponeRun', { params: { runId }, body: reason })).body.code).toBe(
      'forbidden',
    );
    expect(await runState(runId)).toBe('scheduled');
  });

  it('is refused when there is no later occurrence outside a freeze, and the run stays', async () => {
    const { runId } = await released({}, 3.5);
    const freeze = await freezeFor(60);
    const refused = await desk.ask('olga', 'postponeRun', { params: { runId }, body: reason });
    expect(refused.body.code).toBe('frozen');
    await lift(freeze);
    expect(await runState(runId)).toBe('scheduled');
    expect((await followUp(runId)).replacement).toBeNull();
  });
});

describe('an emergency', () => {
  const emergency = { reason: 'Faille exploitée' };
  const soon = {
    emergency,
    notBefore: new Date(Date.now() + 1_800_000).toISOString(),
    notAfter: new Date(Date.now() + 7_200_000).toISOString(),
  };

  it('names a near time and no window, and many hosts only with their number', async () => {
    const hostIds = [];
    for (let index = 0; index < 11; index += 1) hostIds.push(await desk.host(`urgence-${index}`));
    const windowId = (await desk.must<{ items: { id: string }[] }>('olga', 'listWindows')).items[0]?.id;
    const far = new Date(Date.now() + 2 * dayMs).toISOString();
    const later = new Date(Date.now() + 3 * dayMs).toISOString();
    const cases = [
      [{ policyId, title: 'x', hostIds, windowIds: [windowId], emergency }, '/body/emergency', 'one_of'],
      [
        desk.request(policyId, hostIds, { notBefore: far, notAfter: later, emergency }),
        '/body/notBefore',
        'soon',
      ],
      [desk.request(policyId, hostIds, { emergency }), '/body/emergency/confirmedHosts', 'confirmation'],
      [
        desk.request(policyId, hostIds, { emergency: { ...emergency, confirmedHosts: 10 } }),
        '/body/emergency/confirmedHosts',
        'confirmation',
      ],
    ] as const;
    for (const [body, field, rule] of cases) {
      const refused = await desk.ask('olga', 'createPlan', { body });
      expect([refused.body.fields?.[0]?.path, refused.body.fields?.[0]?.rule]).toEqual([field, rule]);
    }
    const confirmed = { emergency: { ...emergency, confirmedHosts: 11 } };
    await desk.plan('olga', desk.request(policyId, hostIds, confirmed));
  });

  it('does not pass a freeze', async () => {
    const freeze = await freezeFor(2);
    const body = desk.request(policyId, [await desk.host('urgence-gelee')], { emergency });
    expect((await desk.ask('olga', 'createPlan', { body })).body.code).toBe('frozen');
    await lift(freeze);
  });

  it('is signed as one, announced at once, and owes a report until somebody writes it, once', async () => {
    const request = desk.request(policyId, [await desk.host('urgence')], soon);
    const { plan, preview } = await desk.plan('olga', request);
    expect(preview.emergency).toEqual(emergency);
    const [row] = await desk.query<{ document: Buffer }>('select document from plans where id = $1', [
      plan.id,
    ]);
    expect(JSON.parse(row?.document.toString('utf8') ?? '{}')).toMatchObject({ emergency });
    const runId = await approve(plan.id);
    const { items } = await desk.must<{ items: Notice[] }>('olga', 'listPlanNotices', {
      params: { planId: plan.id },
    });
    expect(items.map(({ kind }) => kind)).toEqual(['emergency']);
    expect(Date.parse(items[0]?.dueAt ?? '')).toBeLessThanOrEqual(Date.now());
    const write = () =>
      desk.ask<RunFollowUp>('olga', 'writeEmergencyReport', { params: { runId }, body: { text: 'Fait.' } });
    expect((await followUp(runId)).emergency).toMatchObject({ state: 'not_yet', dueAt: null });
    expect((await write()).body.code).toBe('transition_refused');
    await desk.must('olga', 'cancelRun', { params: { runId }, body: reason });
    await vi.waitFor(async () => expect((await followUp(runId)).emergency?.state).toBe('owed'), patience);
    await desk.query(`update runs set ended_at = now() - interval '25 hours' where id = $1`, [runId]);
    const open = await desk.must<{ emergencies: EmergencyReport[] }>('olga', 'listFollowUps');
    expect(open.emergencies.map(({ state }) => state)).toEqual(['overdue']);
    expect((await write()).body.emergency).toMatchObject({ state: 'written', text: 'Fait.' });
    expect((await write()).body.code).toBe('transition_refused');
    expect(await entries(runId)).toEqual(['emergency_report.owed', 'emergency_report.written']);
  });

  it('is told of as mail that nobody could send, where there is no relay', async () => {
    const { plan } = await desk.plan(
      'olga',
      desk.request(policyId, [await desk.host('urgence-muette')], soon),
    );
    await approve(plan.id);
    await vi.waitFor(async () => {
      const params = { planId: plan.id };
      const told = await desk.must<{ items: Notice[]; mailOn: boolean }>('olga', 'listPlanNotices', {
        params,
      });
      expect([told.mailOn, told.items[0]?.state]).toEqual([false, 'mail_off']);
    }, patience);
  });
});
