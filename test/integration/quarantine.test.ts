import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MaintenancePolicy, PlanPreview } from '#contract/plans.ts';
import type { QuarantineRule, UpdateQuarantine } from '#contract/quarantine.ts';
import { faultsOf } from '../harness/history.ts';
import { quarantined } from '../harness/quarantined.ts';
import { monthly, ReleaseDesk, update } from '../harness/release-desk.ts';
import { RunWorld } from '../harness/run-world.ts';
import { redCheck } from '../harness/scripted-agent.ts';

const patience = { timeout: 30_000, interval: 50 };

describe('an update that fails on two hosts', () => {
  let world: RunWorld;
  const actor = () => ({ tenantId: world.tenantId, id: world.personId, kind: 'person' as const });
  const runIs = (runId: string, state: string) =>
    vi.waitFor(async () => expect(await world.runState(runId)).toBe(state), patience);
  const quarantines = () =>
    world.query<{ id: string; name: string; evidence: UpdateQuarantine['evidence'] }>(
      'select id, name, evidence from update_quarantines where lifted_at is null',
    );

  beforeEach(async () => {
    world = await RunWorld.open(4);
    world.judging = true;
  });

  afterEach(async () => {
    const faults = await faultsOf(world);
    await world.close();
    expect(faults).toEqual([]);
  });

  it('is in quarantine with its evidence, stops the waves that have not begun, and is let go by a person only', async () => {
    world.agent(0).script = { verify: [redCheck] };
    world.agent(1).script = { verify: [redCheck] };
    const runId = await world.createRun({ waves: [[0, 1], [2]] });
    await runIs(runId, 'paused');
    expect(await world.states(runId)).toEqual(['rolled_back', 'rolled_back', 'planned']);
    const [first, ...others] = await quarantines();
    expect(others).toEqual([]);
    expect(first?.name).toBe('nginx');
    expect(first?.evidence).toMatchObject({ tries: 2, failedTries: 2, failedHosts: 2 });
    expect(first?.evidence.failures.map(({ hostname, code }) => `${hostname} ${code}`).sort()).toEqual([
      'host-0 check_failed',
      'host-1 check_failed',
    ]);
    const entries = await world.query<{ action: string; details: unknown }>(
      `select action, convert_from(leaf, 'UTF8')::jsonb->'details' as details from audit_entries where action = 'update.quarantined'`,
    );
    expect(entries).toMatchObject([{ details: { name: 'nginx', failedHosts: 2 } }]);
    const decisions = await world.query<{ code: string }>(
      `select code from run_decisions where run_id = $1 and host_run_id is null order by id`,
      [runId],
    );
    expect(decisions.map(({ code }) => code)).toEqual(['wave_started', 'quarantine_paused']);
    // To go on is not to say that the update is good.
    await world.server.runs.service.resume(actor(), runId, 'Essai');
    await runIs(runId, 'paused');
    expect(world.agent(2).received).toEqual([]);
    const { quarantine } = world;
    const machine = { ...actor(), kind: 'apiKey' as const };
    await expect(quarantine.service.lift(machine, first?.id ?? '', 'Essai')).rejects.toThrow();
    await quarantine.service.lift(actor(), first?.id ?? '', 'Contrôle mal réglé');
    await expect(quarantine.service.lift(actor(), first?.id ?? '', 'Encore')).rejects.toThrow();
    await world.server.runs.service.resume(actor(), runId, 'Essai');
    await runIs(runId, 'completed_with_failures');
    expect(await world.states(runId)).toEqual(['rolled_back', 'rolled_back', 'committed']);
  });

  it('counts anew after its quarantine was lifted, and nothing that the network or the agent did', async () => {
    world.agent(0).script = { verify: [redCheck] };
    world.agent(1).script = { verify: [redCheck] };
    await runIs(await world.createRun({ waves: [[0, 1]] }), 'completed_with_failures');
    const [first] = await quarantines();
    await world.quarantine.service.lift(actor(), first?.id ?? '', 'Contrôle mal réglé');
    await runIs(await world.createRun({ waves: [[0]] }), 'completed_with_failures');
    world.agent(2).script = { install: [{ outcome: 'failed', code: 'no_space' }] };
    world.agent(3).script = { install: [{ outcome: 'failed', code: 'internal' }] };
    await runIs(await world.createRun({ waves: [[2, 3]] }), 'completed_with_failures');
    expect(await quarantines()).toEqual([]);
    await runIs(await world.createRun({ waves: [[1]] }), 'completed_with_failures');
    expect(await quarantines()).toMatchObject([{ evidence: { failedHosts: 2, tries: 2 } }]);
  });
});

describe('a plan', () => {
  let desk: ReleaseDesk;
  let policyId: string;

  beforeAll(async () => {
    desk = await ReleaseDesk.open({ chief: ['tenant_admin'], olga: ['operator'], lecteur: ['auditor'] });
    ({ id: policyId } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
      body: monthly,
    }));
  }, 120_000);

  afterAll(() => desk.close());

  it('leaves updates in quarantine out and says so, until somebody lifts it with a reason', async () => {
    const both = await desk.host('both', { updates: [update('openssl'), update('libssl3')] });
    const only = await desk.host('only', { updates: [update('openssl')] });
    const quarantineId = await quarantined(desk, 'openssl', '1.0-2');
    const ask = () =>
      desk.must<PlanPreview>('olga', 'previewPlan', { body: desk.request(policyId, [both, only]) });
    const { hosts, warnings } = await ask();
    const of = (hostId: string) => hosts.find((host) => host.hostId === hostId);
    expect(of(both)?.packages.map(({ name }) => name)).toEqual(['libssl3']);
    expect(of(both)?.leftOut).toEqual([{ name: 'openssl', version: '1.0-2', code: 'quarantined' }]);
    expect(of(only)?.decision).toEqual({ code: 'only_quarantined', values: { count: 1, first: 'openssl' } });
    expect(warnings).toContainEqual({ code: 'updates_left_out', values: { count: 1 } });
    const body = { reason: 'Vérifié en laboratoire' };
    const refused = await desk.ask('lecteur', 'liftUpdateQuarantine', { params: { quarantineId }, body });
    expect(refused.status).toBe(403);
    const lifted = await desk.must<UpdateQuarantine>('olga', 'liftUpdateQuarantine', {
      params: { quarantineId },
      body,
    });
    expect(lifted).toMatchObject({ state: 'lifted', liftReason: body.reason, liftedByName: 'Person olga' });
    expect((await ask()).hosts.every(({ leftOut }) => leftOut === undefined)).toBe(true);
    const { items } = await desk.must<{ items: UpdateQuarantine[] }>('olga', 'listUpdateQuarantines');
    expect(items.map(({ id, state }) => [id, state])).toEqual([[quarantineId, 'lifted']]);
  });

  it('follows the rule of its tenant, two hosts or a fifth unless somebody says otherwise', async () => {
    const rule = () => desk.must<QuarantineRule>('lecteur', 'getQuarantineRule');
    expect(await rule()).toEqual({ hosts: 2, percent: 20 });
    await desk.must('olga', 'updateQuarantineRule', { body: { hosts: 4, percent: 50 } });
    await desk.must('olga', 'updateQuarantineRule', { body: { hosts: 5, percent: 50 } });
    expect(await rule()).toEqual({ hosts: 5, percent: 50 });
  });
});
