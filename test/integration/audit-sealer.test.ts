import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { logOrigin, openCheckpoint } from '../../server/src/platform/audit/checkpoint.ts';
import { latestCheckpoint, proveGrowth } from '../../server/src/platform/audit/logReader.ts';
import { hashLeaf, verifyConsistency, verifyInclusion } from '../../server/src/platform/audit/merkle.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { draftOf, newLogKey, startAuditProcess, type AuditProcess } from '../harness/auditLog.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';

const key = newLogKey();
let database: TestDatabase;
let owner: pg.Client;
let running: AuditProcess[] = [];

async function start(
  more: { memoryDirectory?: string; batchSize?: number; key?: typeof key } = {},
): Promise<AuditProcess> {
  const one = await startAuditProcess(database, { key, ...more });
  running.push(one);
  return one;
}

async function record(one: AuditProcess, tenantId: string, count: number): Promise<string[]> {
  const drafts = Array.from({ length: count }, (_, number) => draftOf(number));
  const receipts = await one.db.inTenant(tenantId, (tx) => one.writer.recordMany(tx, drafts));
  return receipts.map(({ id }) => id);
}

beforeAll(async () => {
  // Keeps the server up between the databases of the tests.
  database = await createTestDatabase();
});
afterAll(() => database.drop());

beforeEach(async () => {
  owner = new pg.Client({ connectionString: database.superuserUrl });
  await owner.connect();
  await owner.query(
    'truncate audit_entries, audit_pending, audit_leaves, audit_tiles, audit_checkpoints, audit_witness',
  );
});
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  running = [];
  await owner.end();
});

describe('recording', () => {
  it('writes exactly the canonical bytes that were returned, with the columns for search beside them', async () => {
    const one = await start();
    const tenantId = newId();
    const actorId = newId();
    const receipt = await one.db.inTenant(tenantId, (tx) =>
      one.writer.record(
        tx,
        draftOf(7, {
          actorKind: 'person',
          actorId,
          details: { b: 1, a: 'x\u0000y \ud800', list: [null, { z: 1, y: 2 }] },
        }),
      ),
    );
    const { rows } = await owner.query('select * from audit_entries');
    expect(rows).toHaveLength(1);
    expect(rows[0].leaf).toEqual(receipt.leaf);
    expect(rows[0]).toMatchObject({
      tenant_id: tenantId,
      entry_id: receipt.id,
      action: 'host_run.transitioned',
      actor_id: actorId,
      outcome: 'ok',
    });
    const text = receipt.leaf.toString('utf8');
    expect(text).toContain('"details":{"a":"x\ufffdy \ufffd","b":1,"list":[null,{"y":2,"z":1}]}');
    const leaf = JSON.parse(text);
    expect(Object.keys(leaf)).toEqual(Object.keys(leaf).sort());
    expect(leaf).toMatchObject({ v: 1, id: receipt.id, tenant: tenantId, at: rows[0].at.toISOString() });
  });

  it('refuses a leaf that does not fit 16 bits of length, and one that the contract does not know', async () => {
    const one = await start();
    const tenantId = newId();
    const write = (draft: ReturnType<typeof draftOf>) =>
      one.db.inTenant(tenantId, (tx) => one.writer.record(tx, draft));
    await expect(write(draftOf(1, { details: { blob: 'x'.repeat(65_535) } }))).rejects.toThrow(
      /more than 65535/,
    );
    await expect(write(draftOf(1, { actorId: 'nobody' }))).rejects.toThrow(/malformed at \/actorId/);
    await expect(write({ ...draftOf(1), action: 'host.exploded' } as never)).rejects.toThrow(/malformed/);
    expect((await owner.query('select 1 from audit_entries')).rowCount).toBe(0);
  });

  it('leaves nothing when the transaction fails', async () => {
    const one = await start();
    const tenantId = newId();
    const failing = one.db.inTenant(tenantId, async (tx) => {
      await one.writer.record(tx, draftOf(1));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(
      (await owner.query('select 1 from audit_entries union all select 1 from audit_leaves')).rowCount,
    ).toBe(0);
  });

  it('does not let a tenant write into the log of another', async () => {
    const one = await start();
    const write = one.db.inTenant(newId(), (tx) => one.writer.record(tx, draftOf(1, { tenantId: newId() })));
    await expect(write).rejects.toThrow(/row-level security/);
  });

  it.each([
    'update audit_entries set action = $$x$$',
    'delete from audit_entries',
    'truncate audit_entries',
    'insert into audit_leaves values (atlas_current_tenant(), 0, gen_random_uuid(), sha256($$x$$))',
    'delete from audit_pending',
    'update audit_checkpoints set note = $$x$$',
  ])('is the only thing that the serving role may do: %s is refused', async (statement) => {
    const one = await start();
    const attempt = one.db.inTenant(newId(), (tx) => sql.raw(statement).execute(tx));
    await expect(attempt).rejects.toThrow(/permission denied/);
  });

  it.each([
    'update audit_entries set action = $$x$$',
    'delete from audit_entries',
    'delete from audit_leaves',
    'update audit_tiles set level = 1',
    'delete from audit_checkpoints',
    'delete from audit_witness',
  ])('is final for platform jobs too: %s is refused', async (statement) => {
    const one = await start();
    const attempt = one.db.inSystem('test.attack', (tx) => sql.raw(statement).execute(tx));
    await expect(attempt).rejects.toThrow(/permission denied/);
  });
});

describe('sealing', () => {
  it('gives a committed entry its place, and proves it to the signed checkpoint', async () => {
    const one = await start();
    const tenantId = newId();
    const [first = ''] = await record(one, tenantId, 3);
    const proved = await one.sealer.sealed(tenantId, first, { timeoutMs: 5000 });
    const head = openCheckpoint(proved.checkpoint.note, {
      origin: logOrigin(tenantId),
      publicKeySpki: key.publicKeySpki,
    });
    expect(head.size).toBe(3);
    expect(
      verifyInclusion({ hash: hashLeaf(proved.leaf), index: proved.index }, head, [...proved.proof]),
    ).toBe(true);
  });

  it('keeps one log for each tenant', async () => {
    const one = await start();
    const tenants = [newId(), newId(), newId()];
    const ids = await Promise.all(tenants.map((tenantId, at) => record(one, tenantId, at + 1)));
    for (const [at, tenantId] of tenants.entries()) {
      const proved = await one.sealer.sealed(tenantId, ids[at]?.at(-1) ?? '', { timeoutMs: 5000 });
      expect(proved.checkpoint.size).toBe(at + 1);
      expect(
        openCheckpoint(proved.checkpoint.note, {
          origin: logOrigin(tenantId),
          publicKeySpki: key.publicKeySpki,
        }).size,
      ).toBe(at + 1);
    }
  });

  it('fills tiles and proves growth across them, in whatever batches the entries came', async () => {
    const one = await start({ batchSize: 100 });
    const tenantId = newId();
    await record(one, tenantId, 90);
    const [early = ''] = await record(one, tenantId, 1);
    const before = await one.sealer.sealed(tenantId, early, { timeoutMs: 5000 });
    const ids = await record(one, tenantId, 700);
    await one.sealer.sealed(tenantId, ids.at(-1) ?? '', { timeoutMs: 5000 });
    const growth = await one.db.inTenant(tenantId, (tx) => proveGrowth(tx, tenantId, before.checkpoint.size));
    expect(growth?.checkpoint.size).toBe(791);
    const now = growth?.checkpoint ?? before.checkpoint;
    expect(verifyConsistency(before.checkpoint, now, growth?.proof ?? [])).toBe(true);
    const { rows } = await owner.query('select level, tile_index::int from audit_tiles order by 1, 2');
    expect(rows).toEqual([
      { level: 0, tile_index: 0 },
      { level: 0, tile_index: 1 },
      { level: 0, tile_index: 2 },
    ]);
  });

  it('seals an entry that committed late, after younger ones were sealed', async () => {
    const one = await start();
    const tenantId = newId();
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const slow = one.db.inTenant(tenantId, async (tx) => {
      const receipt = await one.writer.record(tx, draftOf(1));
      await gate;
      return receipt.id;
    });
    await vi.waitFor(async () =>
      expect(
        (await owner.query("select 1 from pg_stat_activity where state = 'idle in transaction'")).rowCount,
      ).toBeGreaterThan(0),
    );
    const [young = ''] = await record(one, tenantId, 1);
    expect((await one.sealer.sealed(tenantId, young, { timeoutMs: 5000 })).index).toBe(0);
    release();
    const late = await slow;
    expect((await one.sealer.sealed(tenantId, late, { timeoutMs: 5000 })).index).toBe(1);
    expect(late < young).toBe(true);
  });

  it('loses and doubles nothing when many write at once and a second process takes over', async () => {
    const one = await start();
    const other = await start();
    await vi.waitFor(() => expect([one, other].filter((each) => each.sealer.leads())).toHaveLength(1));
    const tenants = [newId(), newId()];
    const write = async (process: AuditProcess, at: number) =>
      record(process, tenants[at % 2] ?? '', 1 + (at % 5));
    const firstHalf = Promise.all(
      Array.from({ length: 60 }, (_, at) => write(at % 2 === 0 ? one : other, at)),
    );
    // The leader's session is cut in the middle: its lock goes, and so does its work in flight.
    await owner.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'atlas-sealer'",
    );
    const leader = one.sealer.leads() ? one : other;
    await firstHalf;
    await leader.sealer.stop();
    await Promise.all(Array.from({ length: 60 }, (_, at) => write(at % 2 === 0 ? one : other, at)));
    await vi.waitFor(
      async () => expect((await owner.query('select 1 from audit_pending')).rowCount).toBe(0),
      { timeout: 10_000 },
    );
    const { rows } = await owner.query(
      `select tenant_id, count(*)::int as leaves, max(leaf_index)::int as last, count(distinct entry_id)::int as entries,
         (select count(*)::int from audit_entries e where e.tenant_id = l.tenant_id) as written
       from audit_leaves l group by tenant_id`,
    );
    expect(rows).toHaveLength(2);
    for (const row of rows) {
      expect(row.leaves).toBe(row.written);
      expect(row.entries).toBe(row.written);
      expect(row.last).toBe(row.written - 1);
    }
    expect(rows[0].written + rows[1].written).toBe(360);
  });

  it('goes on where it stopped after a restart', async () => {
    const tenantId = newId();
    const one = await start();
    await record(one, tenantId, 300);
    const [before = ''] = await record(one, tenantId, 1);
    const old = await one.sealer.sealed(tenantId, before, { timeoutMs: 5000 });
    await one.stop();
    running = [];
    const next = await start();
    const [after = ''] = await record(next, tenantId, 1);
    const proved = await next.sealer.sealed(tenantId, after, { timeoutMs: 5000 });
    expect(proved.index).toBe(301);
    const growth = await next.db.inTenant(tenantId, (tx) => proveGrowth(tx, tenantId, old.checkpoint.size));
    expect(verifyConsistency(old.checkpoint, proved.checkpoint, growth?.proof ?? [])).toBe(true);
  });

  it('says audit_unavailable when the entry is not sealed in time', async () => {
    const one = await start();
    await expect(one.sealer.sealed(newId(), newId(), { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'audit_unavailable',
    });
  });
});

describe('a log that does not continue what was signed', () => {
  const statements = {
    'was cut consistently, checkpoints included': (size: number) => [
      `delete from audit_leaves where leaf_index >= ${size}`,
      `delete from audit_checkpoints where tree_size > ${size}`,
      'delete from audit_tiles',
    ],
    'lost its last checkpoint': () => [
      'delete from audit_checkpoints where tree_size = (select max(tree_size) from audit_checkpoints)',
    ],
    'has another leaf in its right edge': () => [
      "update audit_leaves set leaf_hash = sha256('x') where leaf_index = 12",
    ],
    'was emptied': () => ['truncate audit_leaves, audit_checkpoints, audit_tiles, audit_pending'],
    'carries a checkpoint of somebody else': () => [
      "update audit_checkpoints set note = replace(note, '\u2014 atlas', '\u2014 atlas2')",
    ],
  };

  it.each(Object.entries(statements))('is not continued after a restart when it %s', async (_, attack) => {
    const memoryDirectory = await mkdtemp(path.join(tmpdir(), 'atlas-heads-'));
    try {
      const tenantId = newId();
      const one = await start({ memoryDirectory });
      await record(one, tenantId, 10);
      const [mid = ''] = await record(one, tenantId, 1);
      await one.sealer.sealed(tenantId, mid, { timeoutMs: 5000 });
      const [last = ''] = await record(one, tenantId, 2);
      await one.sealer.sealed(tenantId, last, { timeoutMs: 5000 });
      await one.stop();
      running = [];
      expect(await readFile(path.join(memoryDirectory, `${tenantId}.checkpoint`), 'utf8')).toContain(
        '\n13\n',
      );
      for (const statement of attack(11)) await owner.query(statement);
      const halted = vi.fn();
      const next = await startAuditProcess(database, { key, memoryDirectory, onHalted: halted });
      running.push(next);
      const [entry = ''] = await record(next, tenantId, 1);
      await expect(next.sealer.sealed(tenantId, entry, { timeoutMs: 5000 })).rejects.toMatchObject({
        code: 'audit_unavailable',
      });
      expect(halted).toHaveBeenCalledExactlyOnceWith(tenantId, expect.any(String));
      // Other tenants go on.
      const other = newId();
      const [fine = ''] = await record(next, other, 1);
      expect((await next.sealer.sealed(other, fine, { timeoutMs: 5000 })).index).toBe(0);
    } finally {
      await rm(memoryDirectory, { recursive: true, force: true });
    }
  });

  it('is not continued when it goes backwards under a running sealer', async () => {
    const one = await start();
    const tenantId = newId();
    const [first = ''] = await record(one, tenantId, 5);
    await one.sealer.sealed(tenantId, first, { timeoutMs: 5000 });
    await owner.query('truncate audit_leaves, audit_checkpoints');
    const [next = ''] = await record(one, tenantId, 1);
    await expect(one.sealer.sealed(tenantId, next, { timeoutMs: 5000 })).rejects.toThrow(/went backwards/);
    expect(await one.db.inTenant(tenantId, (tx) => latestCheckpoint(tx, tenantId))).toBeUndefined();
  });
});
