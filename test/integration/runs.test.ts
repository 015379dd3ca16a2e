import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { OrderStep } from '#contract/trust.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { faultsOf } from '../harness/history.ts';
import { RunWorld } from '../harness/run-world.ts';
import { redCheck } from '../harness/scripted-agent.ts';

let world: RunWorld;

beforeEach(async () => {
  world = await RunWorld.open(4);
});

afterEach(async () => {
  const faults = await faultsOf(world);
  await world.close();
  expect(faults).toEqual([]);
});

const patience = { timeout: 20_000, interval: 50 };

async function waitForRun(runId: string, state: string): Promise<void> {
  await vi.waitFor(async () => expect(await world.runState(runId)).toBe(state), patience);
}

async function waitForStates(runId: string, states: string[]): Promise<void> {
  await vi.waitFor(async () => expect(await world.states(runId)).toEqual(states), patience);
}

const actor = () => ({ tenantId: world.tenantId, id: world.personId, kind: 'person' as const });

describe('a run of two waves', () => {
  it('ends with every host committed, in order, reported and sealed', async () => {
    const runId = await world.createRun({
      waves: [
        [0, 1],
        [2, 3],
      ],
      pauseS: 1,
    });
    await waitForRun(runId, 'completed');
    expect(await world.states(runId)).toEqual(['committed', 'committed', 'committed', 'committed']);
    const waves = await world.query<{ wave: number; first: Date; last: Date }>(
      'select wave, min(started_at) as first, max(ended_at) as last from host_runs where run_id = $1 group by wave order by wave',
      [runId],
    );
    expect(Number(waves[1]?.first)).toBeGreaterThanOrEqual(Number(waves[0]?.last) + 1000);
    const detail = await world.audit.db.inTenant(world.tenantId, async (tx) => {
      const readModel = await import('../../server/src/features/runs/runs.read-model.ts');
      return readModel.getRunDetail(tx, runId, world.clock.now());
    });
    expect(detail.run).toMatchObject({
      number: 1,
      hosts: 4,
      committed: 4,
      rolledBack: 0,
      failed: 0,
      waiting: 0,
    });
    expect(detail.waves.map(({ state }) => state)).toEqual(['done', 'done']);
    expect(detail.report).toMatchObject({ updatesInstalled: 4, rollbackSecondsMax: null });
    const steps = world.agent(0).received.map(({ step }) => step);
    expect(steps).toEqual(['preflight', 'guard', 'download', 'install', 'restart', 'verify', 'commit']);
  });

  it('puts back the host whose check is red, and measures how long that took', async () => {
    world.agent(1).script = { verify: [redCheck] };
    const runId = await world.createRun({ waves: [[0, 1], [2]] });
    await waitForRun(runId, 'completed_with_failures');
    expect(await world.states(runId)).toEqual(['committed', 'rolled_back', 'committed']);
    const hostRun = await world.hostRunOf(runId, 1);
    expect(hostRun.rollbackSeconds).toBeGreaterThanOrEqual(1.2);
    expect(await world.decisionsOf(hostRun.id)).toEqual(['check_failed', 'rolled_back']);
    expect(world.agent(1).received.some(({ step }) => step === 'commit')).toBe(false);
  });

  it('pauses behind a wave with too many failures, and goes on when a person says so', async () => {
    world.agent(0).script = { preflight: [{ outcome: 'failed', code: 'no_space' }] };
    const runId = await world.createRun({ waves: [[0, 1], [2]], failureThresholdPercent: 40 });
    await waitForRun(runId, 'paused');
    await waitForStates(runId, ['failed', 'committed', 'planned']);
    await world.server.runs.service.resume(actor(), runId, 'seen');
    await waitForRun(runId, 'completed_with_failures');
    expect((await world.states(runId)).at(-1)).toBe('committed');
  });
});

describe('what a person does to a run', () => {
  it('cancels each host before its next safe point, and lets a change finish', async () => {
    world.agent(0).script = { guard: ['hold'] };
    world.agent(1).script = { install: ['hold'] };
    const runId = await world.createRun({ waves: [[0, 1], [2]] });
    await waitForStates(runId, ['guarding', 'installing', 'planned']);
    await vi.waitFor(() => expect(world.agent(0).holding + world.agent(1).holding).toBe(2), patience);
    await world.server.runs.service.cancel(actor(), runId, 'not now');
    expect(await world.states(runId)).toEqual(['guarding', 'installing', 'cancelled']);
    await world.agent(0).release();
    await world.agent(1).release();
    await waitForRun(runId, 'cancelled');
    expect(await world.states(runId)).toEqual(['cancelled', 'committed', 'cancelled']);
  });

  it('pauses: nothing new starts, what runs goes on', async () => {
    world.agent(0).script = { preflight: ['hold'] };
    const runId = await world.createRun({ waves: [[0], [1]] });
    await waitForStates(runId, ['preflight', 'planned']);
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    await world.server.runs.service.pause(actor(), runId, 'wait');
    await world.agent(0).release();
    await waitForStates(runId, ['committed', 'planned']);
    await world.server.runs.jobs.tick();
    expect(await world.states(runId)).toEqual(['committed', 'planned']);
    await expect(world.server.runs.service.pause(actor(), runId, 'again')).rejects.toMatchObject({
      code: 'transition_refused',
    });
    await world.server.runs.service.resume(actor(), runId, 'go');
    await waitForRun(runId, 'completed');
  });

  it('tries a host again that failed before any change, under the same release', async () => {
    world.agent(0).script = { download: [{ outcome: 'failed', code: 'digest_mismatch' }, {}] };
    const runId = await world.createRun({ waves: [[0]] });
    await waitForRun(runId, 'completed_with_failures');
    const failed = await world.hostRunOf(runId, 0);
    const again = await world.server.runs.service.retry(actor(), failed.id, 'mirror repaired');
    await waitForRun(runId, 'completed');
    expect((await world.hostRunOf(runId, 0)).id).toBe(again);
    await expect(world.server.runs.service.retry(actor(), again, 'why not')).rejects.toMatchObject({
      code: 'transition_refused',
    });
  });

  it('stops everything by the lock: no new change starts, and a person resumes after it', async () => {
    world.agent(0).script = { download: ['hold'] };
    const runId = await world.createRun({ waves: [[0], [1]] });
    await waitForStates(runId, ['downloading', 'planned']);
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    world.lock.tenant = true;
    await world.server.runs.service.lockChanged(world.tenantId);
    expect(await world.runState(runId)).toBe('paused');
    await world.agent(0).release();
    await waitForStates(runId, ['cancelled', 'planned']);
    expect(world.agent(0).received.some(({ step }) => step === 'install')).toBe(false);
    world.lock.tenant = false;
    await world.server.runs.service.lockChanged(world.tenantId);
    await world.server.runs.service.resume(actor(), runId, 'over');
    await waitForStates(runId, ['cancelled', 'committed']);
  });
});

describe('an emergency stop that nobody could tell the run', () => {
  it('is read before the result that the next step waits for', async () => {
    world.agent(0).script = { download: ['hold'] };
    const runId = await world.createRun({ waves: [[0], [1]] });
    await waitForStates(runId, ['downloading', 'planned']);
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    await vi.waitFor(async () => {
      const [row] = await world.query<{ state: string; delivered: boolean }>(
        "select state, memory->'open'->>'deliveredAtMs' is not null as delivered from host_runs where wave = 1",
      );
      expect(row).toEqual({ state: 'downloading', delivered: true });
    }, patience);
    // Whoever closed it died, or lost the database, before the run was told.
    world.lock.tenant = true;
    await world.agent(0).release();
    await waitForStates(runId, ['cancelled', 'planned']);
    expect(world.agent(0).received.some(({ step }) => step === 'install')).toBe(false);
  });
});

describe('an agent that is gone', () => {
  it('is lost after the silence, and found with what it did meanwhile', async () => {
    world.agent(0).script = { install: ['hold'] };
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    world.agent(0).disconnect();
    world.passTime(60_000);
    await waitForStates(runId, ['agent_lost']);
    await world.agent(0).release();
    await world.agent(0).connect(world.server);
    await waitForRun(runId, 'completed');
    const decisions = await world.decisionsOf((await world.hostRunOf(runId, 0)).id);
    expect(decisions).toEqual(expect.arrayContaining(['agent_silent', 'agent_back', 'commit_confirmed']));
  });

  it('tells that its guardian put the host back, and that is the truth', async () => {
    world.agent(0).script = { verify: ['hold'] };
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    const order = world.agent(0).received.find(({ step }) => step === 'verify');
    world.agent(0).disconnect();
    world.passTime(60_000);
    await waitForStates(runId, ['agent_lost']);
    if (order === undefined) throw new Error('there was no order to verify');
    const own = { ...order, commandId: newId(), verb: 'guard.rollback' as const, step: 'rollback' as const };
    await world.agent(0).report(own, {
      facts: { rollbackBy: 'guardian', phasesMs: { detected: 0, switched: 900, green: 14_000 } },
    });
    await world.agent(0).connect(world.server);
    await waitForRun(runId, 'completed_with_failures');
    const hostRun = await world.hostRunOf(runId, 0);
    expect(hostRun).toMatchObject({ state: 'rolled_back', rollbackSeconds: 14 });
    expect(await world.decisionsOf(hostRun.id)).toContain('silence_reverted');
  });

  it('gets an order that was made while it was away when it comes back, once', async () => {
    world.agent(0).disconnect();
    const runId = await world.createRun({ waves: [[0]] });
    await waitForStates(runId, ['preflight']);
    expect(world.agent(0).received).toEqual([]);
    await world.agent(0).connect(world.server);
    await waitForRun(runId, 'completed');
  });

  it('may say everything twice: nothing happens twice', async () => {
    const runId = await world.createRun({ waves: [[0]] });
    await waitForRun(runId, 'completed');
    const before = await world.query('select version from host_runs where run_id = $1', [runId]);
    await world.agent(0).stutter();
    await world.server.runs.jobs.tick();
    expect(await world.query('select version from host_runs where run_id = $1', [runId])).toEqual(before);
  });
});

describe('a server that dies', () => {
  const steps: OrderStep[] = ['preflight', 'guard', 'download', 'install', 'restart', 'verify', 'commit'];

  it.each(steps)('during %s goes on from where it was', async (step) => {
    world.agent(0).script = { [step]: ['hold'] };
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    await world.stopServer();
    await world.agent(0).release();
    await world.startServer();
    await waitForRun(runId, 'completed');
  });

  it('between holding a result and acting on it finds the result again', async () => {
    world.agent(0).script = { install: ['hold'] };
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    await world.server.runs.jobs.stop();
    world.deaf = true;
    await world.agent(0).release();
    expect(await world.states(runId)).toEqual(['installing']);
    await world.stopServer();
    expect(await world.states(runId)).toEqual(['installing']);
    world.deaf = false;
    // Nobody comes back: only the sweep can find the result.
    await world.startServer({ agents: false });
    await waitForStates(runId, ['restarting']);
    for (const agent of world.agents) await agent.connect(world.server);
    await waitForRun(runId, 'completed');
  });

  it('does not need what Redis held', async () => {
    world.agent(0).script = { download: ['hold'] };
    const runId = await world.createRun({ waves: [[0], [1]] });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    await world.emptyRedis();
    await world.agent(0).release();
    await world.emptyRedis();
    await waitForRun(runId, 'completed');
  });
});

describe('a run that nobody moves any more', () => {
  /** As when the process died right after a commit, and Redis lost the reminder. */
  const leave = (runId: string, state: string) =>
    world.query(`update runs set state = $2, deadline_at = null where id = $1`, [runId, state]);

  async function sweep(): Promise<void> {
    world.passTime(11_000);
    for (const agent of world.agents) agent.heartbeat();
    await world.server.runs.jobs.tick();
  }

  it('is ended by the sweep when all its hosts have ended', async () => {
    const runId = await world.createRun({ waves: [[0]] });
    await waitForRun(runId, 'completed');
    await leave(runId, 'stopping');
    await world.query('update runs set ended_at = null where id = $1', [runId]);
    await sweep();
    await waitForRun(runId, 'cancelled');
  });

  it('has its next hosts begun by the sweep', async () => {
    world.lock.tenant = true;
    const runId = await world.createRun({ waves: [[0], [1]] });
    await waitForStates(runId, ['planned', 'planned']);
    world.lock.tenant = false;
    await leave(runId, 'running');
    await sweep();
    await waitForRun(runId, 'completed');
  });
});

describe('a window', () => {
  it('that ends lets started hosts finish and misses the others', async () => {
    world.agent(0).script = { install: ['hold'] };
    const runId = await world.createRun({ waves: [[0], [1]], windowMs: 600_000 });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    world.agent(0).heartbeat();
    world.passTime(590_000);
    world.agent(0).heartbeat();
    await waitForStates(runId, ['installing', 'missed']);
    await world.agent(0).release();
    await waitForRun(runId, 'completed_with_failures');
    expect(await world.states(runId)).toEqual(['committed', 'missed']);
  });
});

describe('a freeze that was decided after the release', () => {
  const decisions = async (runId: string) =>
    world.query<{ code: string; values: Record<string, unknown> }>(
      'select code, "values" from run_decisions where run_id = $1 and host_run_id is null order by id',
      [runId],
    );

  it('makes the run wait, with the reason on record, and go on when it is lifted', async () => {
    world.frozen = { freezeId: newId(), name: 'Clôture', endMs: world.clock.now() + 1500 };
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(
      async () => expect((await decisions(runId)).map(({ code }) => code)).toEqual(['frozen']),
      patience,
    );
    expect(await world.runState(runId)).toBe('scheduled');
    expect(await world.states(runId)).toEqual(['planned']);
    world.frozen = null;
    await waitForRun(runId, 'completed');
    expect((await decisions(runId)).map(({ code }) => code)).toEqual(['frozen', 'wave_started']);
  });

  it('lets the run be missed, truthfully, when it lasts until the last start', async () => {
    world.frozen = { freezeId: newId(), name: 'Clôture', endMs: world.clock.now() + 3_600_000 };
    const by = (notBefore: Date) => new Date(notBefore.getTime() + 3000);
    const runId = await world.createRun({
      waves: [[0], [1]],
      limits: (notBefore) => ({ startBy: by(notBefore), changeBy: by(notBefore) }),
    });
    await waitForRun(runId, 'expired');
    expect(await world.states(runId)).toEqual(['missed', 'missed']);
    expect(await decisions(runId)).toMatchObject([
      { code: 'frozen', values: { freeze: 'Clôture', hosts: 2 } },
      { code: 'missed_frozen', values: { freeze: 'Clôture', hosts: 2 } },
    ]);
  });
});
