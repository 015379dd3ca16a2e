import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { checkEvidence } from '../../server/src/features/commands/commands.module.ts';
import { RunWorld } from '../harness/run-world.ts';

const patience = { timeout: 30_000, interval: 50 };
const readings = 12;
let world: RunWorld;

async function count(table: 'result_frames' | 'audit_pending'): Promise<number> {
  const [row] = await world.query<{ count: number }>(`select count(*)::int as count from ${table}`);
  return row?.count ?? 0;
}

/** Does something to the database that only its thief can do, looks, and undoes it. */
async function altered(statement: string, undo: string, values: readonly unknown[] = []) {
  await world.query(statement, [...values]);
  try {
    return await checkEvidence(world.audit.db, world.tenantId);
  } finally {
    await world.query(undo, [...values]);
  }
}

beforeAll(async () => {
  world = await RunWorld.open(3);
  const principal = { kind: 'person', id: world.personId } as const;
  const asked = Array.from({ length: readings }, (_, index) => {
    const { agentId, hostId } = world.agent(index % 3);
    return world.server.commands.submitCommand(world.tenantId, {
      agentId,
      hostId,
      verb: 'agent.noop',
      principal,
    });
  });
  await Promise.all(asked);
  const runId = await world.createRun({ waves: [[0]] });
  await vi.waitFor(async () => expect(await world.runState(runId)).toBe('completed'), patience);
  await vi.waitFor(async () => expect(await count('audit_pending')).toBe(0), patience);
});

afterAll(() => world.close());

describe('what the audit log says of commands and results', () => {
  it('is one entry for many readings, and one for each order', async () => {
    const entries = await world.query<{ type: string; entries: number; said: number }>(
      `select subject_type as type, count(*)::int as entries,
         sum(coalesce((convert_from(leaf, 'UTF8')::jsonb -> 'details' ->> 'count')::int, 1))::int as said
       from audit_entries where action = 'command.dispatched' group by 1 order by 1`,
    );
    const orders = world.agent(0).received.filter(({ step }) => step !== null).length;
    const dispatched = entries.reduce((sum, { said }) => sum + said, 0);
    expect(dispatched).toBe(readings + orders);
    const batch = entries.find(({ type }) => type === 'command_batch');
    expect(batch?.entries).toBeLessThan(batch?.said ?? 0);
  });

  it('is what is stored of them', async () => {
    const { checked, firstBad } = await checkEvidence(world.audit.db, world.tenantId);
    expect(firstBad).toBeNull();
    expect(checked).toBeGreaterThan(2);
  });

  it('shows that one result of many was altered, though its row is well formed', async () => {
    const [frame] = await world.query<{ agent: string; seq: number; payload: Buffer }>(
      `select agent_id as agent, last_seq::int as seq, payload from result_frames where entry_id is not null limit 1`,
    );
    const lie = Buffer.from(String(frame?.payload).replace('"ok"', '"no_space"'));
    const set = 'update result_frames set payload =';
    const { firstBad } = await altered(
      `${set} $3 where agent_id = $1 and last_seq = $2 and $4::bytea is not null`,
      `${set} $4 where agent_id = $1 and last_seq = $2 and $3::bytea is not null`,
      [frame?.agent, frame?.seq, lie, frame?.payload],
    );
    expect(firstBad?.reason).toBe('its signed results are not those that were recorded');
  });

  it('shows that the result of an order was altered', async () => {
    const { firstBad } = await altered(
      `update result_frames set payload = payload || ' ' where entry_id is null`,
      `update result_frames set payload = substring(payload for length(payload) - 1) where entry_id is null`,
    );
    expect(firstBad?.reason).toBe('its signed results are not those that were recorded');
  });

  it('shows that a command was given to another host than was recorded', async () => {
    const first = '(select min(id::text)::uuid from commands where entry_id is not null)';
    const [{ id, host } = {}] = await world.query<{ id: string; host: string }>(
      `select id, host_id as host from commands where id = ${first}`,
    );
    const { firstBad } = await altered(
      'update commands set host_id = agent_id where id = $1 and $2::uuid is not null',
      'update commands set host_id = $2 where id = $1',
      [id, host],
    );
    expect(firstBad?.reason).toBe('its commands are not those that were recorded');
  });

  it('shows that a signed frame is gone', async () => {
    await world.query('create table kept as select * from result_frames where entry_id is not null');
    const { firstBad } = await altered(
      'delete from result_frames where entry_id is not null',
      'insert into result_frames select * from kept',
    );
    expect(firstBad?.reason).toBe('its signed results are gone');
  });

  it('is nothing of a reading that was refused beside others in the same flush', async () => {
    const said = async (): Promise<number> => {
      const [row] = await world.query<{ said: number }>(
        `select sum(coalesce((convert_from(leaf, 'UTF8')::jsonb -> 'details' ->> 'count')::int, 1))::int as said
         from audit_entries where action = 'command.dispatched'`,
      );
      return row?.said ?? 0;
    };
    const before = await said();
    const [right, other] = [world.agent(0), world.agent(1)];
    const principal = { kind: 'person', id: world.personId } as const;
    const outcomes = await Promise.allSettled(
      [right.hostId, other.hostId, right.hostId].map((hostId) =>
        world.server.commands.submitCommand(world.tenantId, {
          agentId: right.agentId,
          hostId,
          verb: 'agent.noop',
          principal,
        }),
      ),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'not_found' } });
    expect((await said()) - before).toBe(2);
    await vi.waitFor(async () => expect(await count('audit_pending')).toBe(0), patience);
    expect((await checkEvidence(world.audit.db, world.tenantId)).firstBad).toBeNull();
  });
});
