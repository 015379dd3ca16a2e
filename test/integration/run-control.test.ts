import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isTerminal } from '../../server/src/features/runs/host-run.model.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { faultsOf } from '../harness/history.ts';
import { RunWorld } from '../harness/run-world.ts';

const patience = { timeout: 30_000, interval: 50 };
const minuteMs = 60_000;
let world: RunWorld;

beforeEach(async () => {
  world = await RunWorld.open(2);
});

afterEach(async () => {
  const faults = await faultsOf(world);
  await world.close();
  expect(faults).toEqual([]);
});

const actor = () => ({ tenantId: world.tenantId, id: world.personId, kind: 'person' as const });

async function waitForStates(runId: string, states: string[]): Promise<void> {
  await vi.waitFor(async () => expect(await world.states(runId)).toEqual(states), patience);
}

async function waitForRun(runId: string, state: string): Promise<void> {
  await vi.waitFor(async () => expect(await world.runState(runId)).toBe(state), patience);
}

/** Audited actions of the tenant, oldest first. */
async function audited(): Promise<string[]> {
  const rows = await world.query<{ action: string }>('select action from audit_entries order by entry_id');
  return rows.map(({ action }) => action);
}

const audit = (verb: 'grant' | 'revoke') =>
  world.query(`${verb} insert on audit_entries ${verb === 'grant' ? 'to' : 'from'} atlas_app, atlas_system`);

describe('a fence', () => {
  it('of a former attempt makes nothing of its late result', async () => {
    world.agent(0).script = {
      download: [{ outcome: 'failed', code: 'digest_mismatch' }],
      preflight: ['hold'],
    };
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    await world.agent(0).release();
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(0), patience);
    await waitForRun(runId, 'completed_with_failures');
    const former = world.agent(0).received.find(({ step }) => step === 'download');
    if (former === undefined) throw new Error('there was no order to download');

    world.agent(0).script = { download: ['hold'] };
    const again = await world.server.runs.service.retry(
      actor(),
      (await world.hostRunOf(runId, 0)).id,
      'mirror',
    );
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    const order = world.agent(0).received.at(-1);
    expect(order?.fence).toBeGreaterThan(former.fence);
    // That a result was seen may be counted; where the host stands must not move.
    const standing = () =>
      world.query('select state, fence, outcomes, open_command_id, ended_at from host_runs where id = $1', [
        again,
      ]);
    const before = await standing();
    // The old owner speaks of the new host run under his old number.
    await world.agent(0).report({ ...former, commandId: newId(), hostRunId: again }, {});
    await world.server.runs.jobs.tick();
    expect(await standing()).toEqual(before);
    await world.agent(0).release();
    await waitForRun(runId, 'completed');
  });

  it('does not let a result of one host speak for another', async () => {
    world.agent(0).script = { preflight: ['hold'] };
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    const order = world.agent(0).received.at(-1);
    if (order === undefined) throw new Error('there was no order');
    await world
      .agent(1)
      .report(order, {})
      .catch((error: unknown) => error);
    await world.server.runs.jobs.tick();
    expect(await world.states(runId)).toEqual(['preflight']);
    await world.agent(0).release();
    await waitForRun(runId, 'completed');
  });
});

describe('no audit, no dispatch', () => {
  it('a run cannot even begin to exist while the log cannot be written', async () => {
    await audit('revoke');
    await expect(world.createRun({ waves: [[0]] })).rejects.toThrow();
    await audit('grant');
    expect(await world.query('select 1 from runs')).toEqual([]);
    expect(world.agent(0).received).toEqual([]);
  });

  it('a run on its way orders nothing more, keeps what hosts did, and goes on when the log is back', async () => {
    world.agent(0).script = { guard: ['hold'] };
    const runId = await world.createRun({ waves: [[0], [1]] });
    await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
    await audit('revoke');
    const told = world.agent(0).received.length;
    const entries = (await audited()).length;
    await world
      .agent(0)
      .release()
      .catch((error: unknown) => error);
    for (let round = 0; round < 3; round += 1)
      await world.server.runs.jobs.tick().catch((error: unknown) => error);
    expect(await world.states(runId)).toEqual(['guarding', 'planned']);
    expect(world.agent(0).received).toHaveLength(told);
    expect(await audited()).toHaveLength(entries);
    expect(
      await world.query('select 1 from command_results where command_id = $1', [
        world.agent(0).received.at(-1)?.commandId,
      ]),
    ).toEqual([]);

    await audit('grant');
    // As a host that was not acknowledged does: it says it again when it comes back.
    world.agent(0).disconnect();
    await world.agent(0).connect(world.server);
    await waitForRun(runId, 'completed');
    const guards = world.agent(0).received.filter(({ step }) => step === 'guard');
    expect(new Set(guards.map(({ commandId }) => commandId)).size).toBe(1);
  });
});

describe('every state of a host', () => {
  /** What the host does last; then nothing is heard and nobody acts, and only time passes. */
  const stuck = [
    ['planned', {}],
    ['preflight', { preflight: ['hold'] }],
    ['guarding', { guard: ['hold'] }],
    ['downloading', { download: ['hold'] }],
    ['installing', { install: ['hold'] }],
    ['restarting', { restart: ['hold'] }],
    ['verifying', { verify: ['hold'] }],
    ['committing', { commit: ['hold'] }],
    ['rolling_back', { verify: [{ outcome: 'failed', code: 'check_failed' }], rollback: ['hold'] }],
  ] as const;

  it.each(stuck)(
    'ends by time alone when everything goes silent in %s, and the run with it',
    async (state, script) => {
      world.agent(0).script = script;
      if (state === 'planned') world.lock.tenant = true;
      const runId = await world.createRun({ waves: [[0]], windowMs: 60 * minuteMs });
      if (state === 'planned') await waitForStates(runId, ['planned']);
      else await vi.waitFor(() => expect(world.agent(0).holding).toBe(1), patience);
      if (state !== 'planned') await waitForStates(runId, [state]);
      world.agent(0).disconnect();
      let last = state as string;
      await vi.waitFor(
        async () => {
          const [row] = await world.query<{ state: string; deadline_at: Date | null }>(
            'select state, deadline_at from host_runs where run_id = $1',
            [runId],
          );
          last = row?.state ?? 'absent';
          // Until its end a host always knows when time will change something.
          if (!isTerminal(last as Parameters<typeof isTerminal>[0]))
            expect(row?.deadline_at).toBeInstanceOf(Date);
          world.passTime(5 * minuteMs);
          await world.server.runs.jobs.tick();
          expect(isTerminal(last as Parameters<typeof isTerminal>[0])).toBe(true);
        },
        { timeout: 60_000, interval: 20 },
      );
      // Nobody heard that it went well: it is not called well.
      expect(['committed', 'rolled_back']).not.toContain(last);
      await vi.waitFor(async () => {
        const [run] = await world.query<{ ended_at: Date | null }>(
          'select ended_at from runs where id = $1',
          [runId],
        );
        world.passTime(minuteMs);
        await world.server.runs.jobs.tick();
        expect(run?.ended_at).toBeInstanceOf(Date);
      }, patience);
    },
  );
});

describe('a breaker', () => {
  it('stops the third restart in a day: the host waits for a person instead of going round', async () => {
    world.agent(0).script = {
      restart: [{ outcome: 'failed', code: 'restart_breaker', detail: '3 restarts in 24 h' }],
    };
    const runId = await world.createRun({ waves: [[0]] });
    await vi.waitFor(async () => {
      const [run] = await world.query<{ ended_at: Date | null }>('select ended_at from runs where id = $1', [
        runId,
      ]);
      expect(run?.ended_at).toBeInstanceOf(Date);
    }, patience);
    expect(world.agent(0).received.filter(({ step }) => step === 'restart')).toHaveLength(1);
    expect(await world.states(runId)).not.toContain('committed');
  });

  it('gives up on a network that fails every time, after a bounded number of tries', async () => {
    world.agent(0).script = { download: [{ outcome: 'failed', code: 'network' }] };
    const runId = await world.createRun({ waves: [[0]], windowMs: 600 * minuteMs });
    await vi.waitFor(
      async () => {
        world.agent(0).heartbeat();
        world.passTime(minuteMs);
        world.agent(0).heartbeat();
        await world.server.runs.jobs.tick();
        expect(await world.states(runId)).toEqual(['failed']);
      },
      { timeout: 60_000, interval: 50 },
    );
    const tries = world.agent(0).received.filter(({ step }) => step === 'download');
    expect(tries.length).toBeGreaterThan(1);
    expect(tries.length).toBeLessThanOrEqual(4);
    expect(new Set(tries.map(({ commandId }) => commandId)).size).toBe(tries.length);
  });
});
