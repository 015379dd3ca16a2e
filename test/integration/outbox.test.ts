import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../server/src/platform/clock.ts';
import { createDb, type Db } from '../../server/src/platform/db.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { createOutbox, type OutboxMessage } from '../../server/src/platform/outbox.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';

const log = createLogger({ level: 'silent', role: 'test' });
const clock = systemClock;
const tenantId = newId();
let database: TestDatabase;
let db: Db;
let other: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  db = createDb({
    app: { connectionString: database.appUrl },
    system: { connectionString: database.systemUrl },
    log,
    clock,
  });
  other = new pg.Client({ connectionString: database.superuserUrl });
  await other.connect();
  await other.query(`insert into tenants (id, name, slug) values ($1, 'Test', 'test')`, [tenantId]);
});

afterAll(async () => {
  await other.end();
  await db.close();
  await database.drop();
});

function newRelay(deliver: (messages: readonly OutboxMessage[]) => Promise<void>) {
  const recorded: string[] = [];
  const outbox = createOutbox({ db, log, clock, session: { connectionString: database.systemUrl } });
  outbox.subscribe({
    name: 'test',
    hears: () => true,
    deliver,
    record: (_tx, messages) => {
      recorded.push(...messages.map(({ payload }) => String(payload.name)));
      return Promise.resolve();
    },
  });
  return { outbox, recorded };
}

const say = (relay: ReturnType<typeof newRelay>, ...names: string[]) =>
  db.inTenant(tenantId, (tx) =>
    relay.outbox.publish(
      tx,
      names.map((name) => ({ topic: 'test', payload: { name } })),
    ),
  );

const isEmpty = async (): Promise<boolean> =>
  (await other.query('select 1 from outbox limit 1')).rowCount === 0;

describe('the relay of the outbox', () => {
  it('is one process of several: each message is recorded once, and another takes over when it ends', async () => {
    const relays = [newRelay(() => Promise.resolve()), newRelay(() => Promise.resolve())] as const;
    for (const { outbox } of relays) outbox.start();
    await say(relays[0], 'one', 'two');
    await vi.waitFor(async () => expect(await isEmpty()).toBe(true), 10_000);
    expect(relays.flatMap(({ recorded }) => recorded)).toEqual(['one', 'two']);
    const leader = relays.find(({ recorded }) => recorded.length > 0) ?? relays[0];
    const heir = leader === relays[0] ? relays[1] : relays[0];
    await leader.outbox.stop();
    await say(heir, 'three');
    await vi.waitFor(() => expect(heir.recorded).toEqual(['three']), 10_000);
    await heir.outbox.stop();
  });

  it('records nothing that another one has recorded meanwhile: a lost lead is found out in the transaction', async () => {
    const late = newRelay(async () => {
      // The process slept after it had read; its successor has done the work.
      await other.query(`delete from outbox where payload->>'name' = 'done by another'`);
    });
    late.outbox.start();
    await say(late, 'done by another', 'left over');
    await vi.waitFor(async () => expect(await isEmpty()).toBe(true), 10_000);
    expect(late.recorded).toEqual(['left over']);
    await late.outbox.stop();
  });
});
