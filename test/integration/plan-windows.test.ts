import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MaintenancePolicy, PlanDetail, PlanPreview } from '#contract/plans.ts';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { monthly, nights, ReleaseDesk, yearEnd } from '../harness/release-desk.ts';

let desk: ReleaseDesk;
let policyId: string;

beforeAll(async () => {
  desk = await ReleaseDesk.open({
    chief: ['tenant_admin'],
    olga: ['operator'],
    alice: ['approver'],
    bernard: ['approver'],
  });
  for (const name of ['alice', 'bernard']) await desk.enrolKey(name);
  await desk.publish('chief');
  ({ id: policyId } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
    body: monthly,
  }));
}, 120_000);

afterAll(() => desk.close());

describe('a plan in a window', () => {
  let windowId: string;
  let hostId: string;
  const inWindows = (windowIds: readonly string[], bend = {}) => ({
    policyId,
    title: 'Nuit',
    hostIds: [hostId],
    windowIds,
    ...bend,
  });
  const freezeUntil = (days: number) =>
    desk.must<Freeze>('chief', 'createFreeze', {
      body: {
        ...yearEnd,
        name: `Gel de ${days} jours`,
        when: {
          kind: 'once',
          startsAt: new Date(Date.now() - 86_400_000).toISOString(),
          endsAt: new Date(Date.now() + days * 86_400_000).toISOString(),
        },
      },
    });
  const lift = ({ id, version }: Freeze) =>
    desk.must('chief', 'removeFreeze', { params: { freezeId: id }, version });

  beforeAll(async () => {
    ({ id: windowId } = await desk.must<MaintenanceWindow>('chief', 'createWindow', { body: nights }));
    hostId = await desk.host('nuit-1');
  });

  it('takes its next time, says which and why, and keeps its figures in what is released', async () => {
    const made = await desk.must<PlanDetail>('olga', 'createPlan', { body: inWindows([windowId]) });
    const { timing, notBefore, notAfter } = made.preview;
    expect(timing?.window).toMatchObject({ windowId, name: 'Nuits', timeZone: 'Europe/Paris' });
    expect(timing?.window?.startsLocal).toMatch(/T22:00\+0[12]:00$/);
    expect(timing?.window?.endsLocal).toMatch(/T04:00\+0[12]:00$/);
    expect(timing?.considered.map(({ code }) => code)).toEqual(['chosen']);
    // Nothing was ever done here, and even with every step at its limit the night is long enough.
    expect(timing).toMatchObject({ fit: 'fits', expectedSeconds: { runs: 0, hostsOnLimits: 1 } });
    expect([made.plan.notBefore, made.plan.notAfter]).toEqual([notBefore, notAfter]);
    const endMs = Date.parse(timing?.window?.endsAt ?? '');
    expect(Date.parse(notAfter) - endMs).toBe(60 * 60_000);
    const [row] = await desk.query<{ document: Buffer }>('select document from plans where id = $1', [
      made.plan.id,
    ]);
    expect(JSON.parse(row?.document.toString('utf8') ?? '{}')).toMatchObject({
      window: {
        id: windowId,
        startBy: new Date(endMs - 90 * 60_000).toISOString(),
        changeBy: new Date(endMs - 30 * 60_000).toISOString(),
      },
    });
  });

  it('waits for the first night after a freeze, and names what was taken', async () => {
    const freeze = await freezeUntil(3);
    const body = await desk.must<PlanPreview>('olga', 'previewPlan', { body: inWindows([windowId]) });
    expect(body.timing?.considered.at(-1)?.code).toBe('chosen');
    const taken = body.timing?.considered.filter(({ code }) => code === 'frozen') ?? [];
    expect(taken.length).toBeGreaterThanOrEqual(2);
    expect(taken.every(({ freezes }) => freezes.includes('Gel de 3 jours'))).toBe(true);
    expect(Date.parse(body.notBefore)).toBeGreaterThan(Date.now() + 2 * 86_400_000);
    await lift(freeze);
  });

  it('is refused with the name of the freeze when there is no time, and when a named time lies in it', async () => {
    const freeze = await freezeUntil(60);
    for (const body of [inWindows([windowId]), desk.request(policyId, [hostId])]) {
      const refused = await desk.ask('olga', 'createPlan', { body });
      expect([refused.status, refused.body.code]).toEqual([409, 'frozen']);
      expect(refused.body.detail).toContain('Gel de 60 jours');
    }
    await lift(freeze);
  });

  it('is refused when it names a window and a time, neither, a window that is not there or one of another site', async () => {
    const { notBefore } = desk.request(policyId, []);
    const { id: siteId } = await desk.must<{ id: string }>('chief', 'createSite', {
      body: { name: 'Tahiti', timeZone: 'Pacific/Tahiti' },
    });
    const elsewhere = await desk.must<MaintenanceWindow>('chief', 'createWindow', {
      body: { ...nights, name: 'Ailleurs', siteId },
    });
    const cases = [
      [inWindows([windowId], { notBefore }), '/body/windowIds', 'one_of'],
      [{ policyId, title: 'x', hostIds: [hostId] }, '/body/notBefore', 'required'],
      [inWindows([newId()]), '/body/windowIds/0', 'exists'],
      [inWindows([windowId, elsewhere.id]), '/body/windowIds/1', 'site'],
    ] as const;
    for (const [body, path, rule] of cases) {
      const refused = await desk.ask('olga', 'previewPlan', { body });
      expect([refused.status, refused.body.fields?.[0]?.path, refused.body.fields?.[0]?.rule]).toEqual([
        400,
        path,
        rule,
      ]);
    }
  });

  it('hands the figures to the run when two people have released it', async () => {
    const made = await desk.must<PlanDetail>('olga', 'createPlan', { body: inWindows([windowId]) });
    const draft = await desk.draft('olga', made.plan.id);
    expect(draft.status).toBe(201);
    await desk.sign('alice', draft.body);
    const { body } = await desk.sign('bernard', draft.body);
    expect(body.release.state).toBe('approved');
    const [run] = await desk.query<{ start_by: Date; change_by: Date; not_after: Date }>(
      'select start_by, change_by, not_after from runs where id = $1',
      [body.release.runId],
    );
    const window = made.preview.timing?.window;
    expect([run?.start_by, run?.change_by, run?.not_after].map((at) => at?.toISOString())).toEqual([
      window?.startBy,
      window?.changeBy,
      made.preview.notAfter,
    ]);
  });
});
