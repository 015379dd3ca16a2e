import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Decision } from '#contract/runs.ts';
import { faultsOf } from '../harness/history.ts';
import { RunWorld } from '../harness/run-world.ts';
import { redCheck } from '../harness/scripted-agent.ts';

const patience = { timeout: 30_000, interval: 50 };
const minuteMs = 60_000;
let world: RunWorld;

beforeEach(async () => {
  world = await RunWorld.open(4);
  // Nobody sends heartbeats here: seen an hour from now is connected for as long as a test runs.
  await world.query(`update agents set connected_at = now(), last_seen_at = now() + interval '1 hour'`);
});

afterEach(async () => {
  const faults = await faultsOf(world);
  await world.close();
  expect(faults).toEqual([]);
});

const actor = () => ({ tenantId: world.tenantId, id: world.personId, kind: 'person' as const });
const states = (runId: string, wanted: string[]) =>
  vi.waitFor(async () => expect(await world.states(runId)).toEqual(wanted), patience);
const holds = (index: number) => vi.waitFor(() => expect(world.agent(index).holding).toBe(1), patience);
const ended = (runId: string, state: string) =>
  vi.waitFor(async () => expect(await world.runState(runId)).toBe(state), patience);
const arrow = (dependent: number, provider: number) =>
  world.query(
    `insert into host_dependencies (id, tenant_id, dependent_host_id, provider_host_id, kind)
     values (gen_random_uuid(), $1, $2, $3, 'guest_before_hypervisor')`,
    [world.tenantId, world.agent(dependent).hostId, world.agent(provider).hostId],
  );

async function group(name: string, hosts: readonly number[], most = 1): Promise<string> {
  const body = {
    ...{ name, description: '', hostIds: hosts.map((index) => world.agent(index).hostId), ordered: false },
    budget: { kind: 'max_unavailable' as const, hosts: most },
  };
  return (await world.groups.service.create(actor(), body)).id;
}

async function decisions(runId: string, host: number): Promise<Pick<Decision, 'code' | 'values'>[]> {
  const { id } = await world.hostRunOf(runId, host);
  return world.query('select code, values from run_decisions where host_run_id = $1 order by id', [id]);
}

/** Several looks of the sweep: enough for whoever may begin to begin. */
async function looks(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) {
    world.passTime(3_000);
    await world.server.runs.jobs.tick();
  }
}

describe('a group of three of which one may be down', () => {
  it('keeps the others waiting when a member dies mid-install, until a person decides', async () => {
    await group('Annuaire', [0, 1, 2]);
    world.agent(0).script = { install: ['hold'] };
    const runId = await world.createRun({ waves: [[0], [1], [2]], windowMs: 600 * minuteMs });
    await holds(0);
    world.agent(0).disconnect();
    // It is missed, and after an hour given up: nobody knows what it did.
    await vi.waitFor(async () => {
      for (const index of [1, 2, 3]) world.agent(index).heartbeat();
      world.passTime(5 * minuteMs);
      await world.server.runs.jobs.tick();
      expect(await world.states(runId)).toEqual(['failed', 'planned', 'planned']);
    }, patience);
    await vi.waitFor(async () => expect(await decisions(runId, 1)).toHaveLength(1), patience);
    await looks();
    expect(await world.states(runId)).toEqual(['failed', 'planned', 'planned']);
    expect([world.agent(1).received, world.agent(2).received]).toEqual([[], []]);
    expect(await decisions(runId, 1)).toEqual([
      {
        code: 'waits_for_group',
        values: { group: 'Annuaire', host: 'host-0', cause: 'failed', run: 1, maxDown: 1 },
      },
    ]);
    const waiting = await world.hostRunOf(runId, 1);
    const held = `select convert_from(leaf, 'UTF8')::jsonb->'details'->>'group' as "group" from audit_entries where action = 'host_run.held' and subject_id = $1`;
    expect(await world.query(held, [waiting.id])).toEqual([{ group: 'Annuaire' }]);
    expect(world.emitted.some(({ subjectId }) => subjectId === waiting.id)).toBe(true);

    await world.server.runs.service.accept(actor(), (await world.hostRunOf(runId, 0)).id, 'looked at it');
    await vi.waitFor(async () => {
      await world.server.runs.jobs.tick();
      world.passTime(1_000);
      for (const index of [1, 2]) world.agent(index).heartbeat();
      expect(await world.states(runId)).toEqual(['failed', 'committed', 'committed']);
    }, patience);
    const said = (await decisions(runId, 1)).map(({ code }) => code);
    expect(said.slice(0, 2)).toEqual(['waits_for_group', 'wait_over']);
    expect((await decisions(runId, 0)).at(-1)?.code).toBe('accepted_by_person');
    await ended(runId, 'completed_with_failures');
  });

  it('lets one begin at a time though they share a wave', async () => {
    await group('Annuaire', [0, 1, 2]);
    for (const index of [0, 1, 2]) world.agent(index).script = { download: ['hold'] };
    const runId = await world.createRun({ waves: [[0, 1, 2]] });
    const holding = () => [0, 1, 2].filter((index) => world.agent(index).holding > 0);
    for (let turn = 0; turn < 3; turn += 1) {
      await vi.waitFor(async () => {
        await world.server.runs.jobs.tick();
        world.passTime(1_000);
        expect(holding()).toHaveLength(1);
      }, patience);
      const now = (await world.states(runId)).filter((state) => state !== 'planned' && state !== 'committed');
      expect(now).toEqual(['downloading']);
      await world.agent(holding()[0] ?? 0).release();
    }
    await ended(runId, 'completed');
    const started = await world.query<{ code: string }>(
      `select code from run_decisions where run_id = $1 and code = 'wave_started'`,
      [runId],
    );
    expect(started).toHaveLength(1);
  });

  it('waits for a member that is silent, though no run has touched it', async () => {
    await group('Annuaire', [0, 1, 2]);
    await world.query(`update agents set last_seen_at = now() - interval '1 hour' where host_id = $1`, [
      world.agent(2).hostId,
    ]);
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(async () => expect(await decisions(runId, 0)).toHaveLength(1), patience);
    await looks();
    expect(await decisions(runId, 0)).toEqual([
      {
        code: 'waits_for_group',
        values: { group: 'Annuaire', host: 'host-2', cause: 'silent', run: 0, maxDown: 1 },
      },
    ]);
    await world.query(`update agents set last_seen_at = now() + interval '1 hour'`);
    await ended(runId, 'completed');
  });

  it('counts one that went back by itself without a proof that it is well', async () => {
    await group('Annuaire', [0, 1]);
    world.agent(0).script = { verify: [redCheck] };
    const runId = await world.createRun({ waves: [[0], [1]] });
    await states(runId, ['rolled_back', 'planned']);
    await looks();
    expect((await decisions(runId, 1)).map(({ values }) => values.cause)).toEqual(['rolled_back']);
    await world.server.runs.service.accept(actor(), (await world.hostRunOf(runId, 0)).id, 'checked by hand');
    await states(runId, ['rolled_back', 'committed']);
  });

  it('goes on by itself after a rollback whose checks were green', async () => {
    await group('Annuaire', [0, 1]);
    const facts = {
      rollbackBy: 'order' as const,
      checks: [{ check: 'tcp 80', ok: true, detail: '', tookMs: 1 }],
    };
    world.agent(0).script = { verify: [redCheck], rollback: [{ outcome: 'succeeded', facts }] };
    const runId = await world.createRun({ waves: [[0], [1]] });
    await states(runId, ['rolled_back', 'committed']);
    expect((await decisions(runId, 1)).map(({ code }) => code)).not.toContain('waits_for_group');
  });
});

describe('two runs on one group', () => {
  it('take its members one after the other', async () => {
    await group('Base', [0, 1]);
    world.agent(0).script = { install: ['hold'] };
    const first = await world.createRun({ waves: [[0]] });
    await holds(0);
    const second = await world.createRun({ waves: [[1]] });
    await vi.waitFor(async () => expect(await decisions(second, 1)).toHaveLength(1), patience);
    expect((await decisions(second, 1))[0]?.values).toMatchObject({ group: 'Base', host: 'host-0', run: 1 });
    await looks();
    expect(world.agent(1).received).toEqual([]);
    await world.agent(0).release();
    await ended(first, 'completed');
    await ended(second, 'completed');
  });

  it('that are let go at the same instant do not both begin', async () => {
    await group('Base', [0, 1, 2, 3]);
    for (const agent of world.agents) agent.script = { preflight: ['hold'] };
    const runs: string[] = [];
    // Held by the emergency stop, all four are due in one turn of the sweep.
    world.lock.tenant = true;
    for (const index of [0, 1, 2, 3]) runs.push(await world.createRun({ waves: [[index]] }));
    await world.server.runs.service.lockChanged(world.tenantId);
    world.lock.tenant = false;
    world.passTime(2_000);
    await world.server.runs.jobs.tick();
    await vi.waitFor(
      () => expect(world.agents.filter(({ holding }) => holding > 0)).toHaveLength(1),
      patience,
    );
    await looks();
    expect(world.agents.filter(({ received }) => received.length > 0)).toHaveLength(1);
    await vi.waitFor(
      async () => {
        for (const agent of world.agents) await agent.release();
        await world.server.runs.jobs.tick();
        world.passTime(1_000);
        for (const runId of runs) expect(await world.runState(runId)).toBe('completed');
      },
      { timeout: 60_000, interval: 50 },
    );
  });
});

describe('a hypervisor', () => {
  it('waits while a member that another hypervisor carries is down', async () => {
    await group('Domaine', [0, 1]);
    await arrow(1, 2);
    world.agent(0).script = { install: ['hold'] };
    const first = await world.createRun({ waves: [[0]] });
    await holds(0);
    const second = await world.createRun({ waves: [[2]] });
    await vi.waitFor(async () => expect(await decisions(second, 2)).toHaveLength(1), patience);
    expect((await decisions(second, 2))[0]?.values).toMatchObject({ group: 'Domaine', host: 'host-0' });
    await world.agent(0).release();
    await ended(first, 'completed');
    await ended(second, 'completed');
  });
});

describe('a person', () => {
  it('and no machine calls a host up, not while it is under way, and not twice', async () => {
    world.agent(0).script = { preflight: ['hold'] };
    const runId = await world.createRun({ waves: [[0]] });
    await holds(0);
    const { id } = await world.hostRunOf(runId, 0);
    const accept = () => world.server.runs.service.accept(actor(), id, 'reason');
    await expect(accept()).rejects.toMatchObject({ code: 'transition_refused' });
    world.agent(0).script = { download: [{ outcome: 'failed', code: 'digest_mismatch' }] };
    await world.agent(0).release();
    await ended(runId, 'completed_with_failures');
    const machine = { ...actor(), kind: 'apiKey' as const };
    const byMachine = world.server.runs.service.accept(machine, id, 'reason');
    await expect(byMachine).rejects.toMatchObject({ code: 'forbidden' });
    await accept();
    await expect(accept()).rejects.toMatchObject({ code: 'transition_refused' });
  });
});
