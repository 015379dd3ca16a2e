import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  cosignCheckpoint,
  cosignerName,
  openCheckpoint as openAsAgent,
} from '../../agent/src/trust/checkpoint.ts';
import type { Checkpoint } from '../../agent/src/trust/checkpoint.ts';
import { verifyConsistency, verifyInclusion } from '../../agent/src/trust/merkle.ts';
import { tellCheckpoints } from '../../server/src/features/audit/audit.module.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { idPage } from '../../server/src/platform/page.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { attack, createFolder, startAuditServer, type AuditServer } from '../harness/auditAttacks.ts';
import { draftOf, newLogKey } from '../harness/auditLog.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';

const key = newLogKey();
let database: TestDatabase;
let server: AuditServer;
let disk: { path: string; remove: () => Promise<void> };

beforeAll(async () => {
  database = await createTestDatabase();
  disk = await createFolder();
  server = await startAuditServer(database, { key, memoryDirectory: disk.path });
});
afterAll(async () => {
  await server.stop();
  await database.drop();
  await disk.remove();
});

type Draft = ReturnType<typeof draftOf>;

/** Writes the drafts one after the other and waits until the last is sealed. */
async function write(tenantId: string, drafts: readonly Draft[]): Promise<string[]> {
  const { db, writer, sealer } = server.process;
  const receipts = await db.inTenant(tenantId, (tx) => writer.recordMany(tx, drafts));
  await sealer.sealed(tenantId, receipts.at(-1)?.id ?? '', { timeoutMs: 5000 });
  return receipts.map(({ id }) => id);
}

const page = { before: null, limit: 50 };
const many = (count: number): Draft[] => Array.from({ length: count }, (_, number) => draftOf(number));

/** An agent with the code that runs on hosts. */
function newAgent() {
  const pair = generateKeyPairSync('ed25519');
  const agentId = newId();
  const publicKeySpki = pair.publicKey.export({ type: 'spki', format: 'der' });
  const log = (tenantId: string) => ({
    origin: `atlas/${tenantId}`,
    publicKey: createPublicKey({ key: key.publicKeySpki, format: 'der', type: 'spki' }),
  });
  return {
    agentId,
    open: (tenantId: string, note: string) => openAsAgent(note, log(tenantId)),
    sees: (checkpoint: Checkpoint) => ({
      ...{ agentId, publicKeySpki, treeSize: checkpoint.size, rootSha256: checkpoint.root },
      signature: cosignCheckpoint(
        checkpoint,
        { name: cosignerName(agentId), privateKey: pair.privateKey },
        Date.now(),
      ).toString('base64url'),
    }),
  };
}

/** What an agent would have signed had it been shown another log. */
function forkedView(tenantId: string, size: number, root: string): Checkpoint {
  const origin = `atlas/${tenantId}`;
  const body = `${origin}\n${size}\n${Buffer.from(root, 'hex').toString('base64')}\n`;
  return { origin, size, root, body };
}

async function checkpointOf(tenantId: string, agent: ReturnType<typeof newAgent>): Promise<Checkpoint> {
  const checkpoint = agent.open(tenantId, (await server.service.state(tenantId)).checkpoint);
  if (checkpoint === null) throw new Error('the agent refuses the checkpoint');
  return checkpoint;
}

describe('reading the log', () => {
  it('shows entries newest first, page by page, each once', async () => {
    const tenantId = newId();
    const ids = await write(tenantId, many(7));
    const next = (from: { readonly nextCursor: string | null }) =>
      server.service.list(tenantId, idPage({ cursor: from.nextCursor ?? undefined, limit: 3 }));
    const first = await next({ nextCursor: null });
    const second = await next(first);
    const third = await next(second);
    const shown = [...first.items, ...second.items, ...third.items];
    expect(shown.map(({ leaf }) => leaf.id)).toEqual(ids.toReversed());
    expect(shown.map(({ index }) => index)).toEqual([6, 5, 4, 3, 2, 1, 0]);
    expect(third.nextCursor).toBeNull();
    expect(first.total).toBe(7);
  });

  it('finds by action, actor, subject and time, and says so when nothing matches', async () => {
    const tenantId = newId();
    const [actorId, subjectId] = [newId(), newId()];
    const [plain = '', signed = ''] = await write(tenantId, [
      draftOf(1),
      draftOf(2, { action: 'release.signed', actorKind: 'person', actorId, subjectId }),
    ]);
    const found = async (filter: object) =>
      (await server.service.list(tenantId, { ...page, ...filter })).items.map(({ leaf }) => leaf.id);
    expect(await found({ action: 'release.signed' })).toEqual([signed]);
    expect(await found({ actorId })).toEqual([signed]);
    expect(await found({ subjectId })).toEqual([signed]);
    expect(await found({ action: 'host_run.transitioned' })).toEqual([plain]);
    expect(await found({ from: '2020-01-01T00:00:00.000Z', to: '2020-02-01T00:00:00.000Z' })).toEqual([]);
    expect(await found({ from: '2020-01-01T00:00:00.000Z' })).toHaveLength(2);
  });

  it('names people and hosts as they are called now, from this tenant only', async () => {
    const [tenantId, siteId, hostId, personId, stranger] = [newId(), newId(), newId(), newId(), newId()];
    await attack(database, [
      `insert into tenants (id, name, slug) values ('${tenantId}', 'Nord', 'nord')`,
      `insert into sites (id, tenant_id, name, time_zone) values ('${siteId}', '${tenantId}', 'Lille', 'Europe/Paris')`,
      `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks) values ('${hostId}', '${tenantId}', '${siteId}', 'db1.nord', '${'a'.repeat(64)}', '[]')`,
      `insert into people (id, subject, username, name) values ('${personId}', 's1', 'anne', 'Anne Martin'), ('${stranger}', 's2', 'bob', 'Bob')`,
      `insert into memberships (tenant_id, person_id, roles) values ('${tenantId}', '${personId}', '{operator}')`,
    ]);
    const by = (actorId: string) =>
      draftOf(1, { actorKind: 'person', actorId, subjectType: 'host', subjectId: hostId });
    await write(tenantId, [by(personId), by(stranger)]);
    const { items } = await server.service.list(tenantId, page);
    expect(items.map(({ actorName, subjectName }) => [actorName, subjectName])).toEqual([
      [null, 'db1.nord'],
      ['Anne Martin', 'db1.nord'],
    ]);
  });

  it('shows nothing of one tenant to another', async () => {
    const [mine, theirs] = [newId(), newId()];
    await write(theirs, many(3));
    expect((await server.service.list(mine, page)).items).toEqual([]);
    expect(await server.service.state(mine)).toMatchObject({ size: 0, checkpoint: '', checkpointAt: null });
    await expect(server.service.proof(mine, 0)).rejects.toMatchObject({ code: 'not_found' });
    await expect(server.service.file(mine, 'checkpoint')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('proofs', () => {
  it('convince the agent that an entry is in the log', async () => {
    const tenantId = newId();
    const ids = await write(tenantId, many(300));
    const evidence = await server.service.seal(tenantId, ids[259] ?? '');
    const checkpoint = newAgent().open(tenantId, evidence.checkpoint);
    const leaf = Buffer.from(evidence.leaf, 'base64url');
    const claim = {
      leaf,
      index: evidence.leafIndex,
      size: 300,
      root: checkpoint?.root ?? '',
      proof: evidence.proof,
    };
    expect(verifyInclusion(claim)).toBe(true);
    expect(verifyInclusion({ ...claim, index: 258 })).toBe(false);
    expect(await server.service.proof(tenantId, 259)).toMatchObject({
      leaf: leaf.toString('utf8'),
      index: 259,
    });
  });

  it('convince the agent that the log only grew', async () => {
    const tenantId = newId();
    const agent = newAgent();
    await write(tenantId, many(9));
    const from = await checkpointOf(tenantId, agent);
    expect(await server.service.checkpointAfter(tenantId, 9)).toBeNull();
    await write(tenantId, many(270));
    const growth = await server.service.checkpointAfter(tenantId, 9);
    const to = agent.open(tenantId, growth?.checkpoint ?? '');
    expect(to?.size).toBe(279);
    expect(to !== null && verifyConsistency({ from, to, proof: growth?.proof ?? [] })).toBe(true);
    expect(await server.service.checkpointAfter(tenantId, 280)).toBeNull();
  });

  it.each([
    'tile/0/001.p/45',
    'tile/0/002',
    'tile/1/000.p/2',
    'tile/entries/001.p/50',
    'tile/0/0',
    '../checkpoint',
    '',
  ])('are not made up for a file that the log does not have: %s', async (path) => {
    const tenantId = newId();
    await write(tenantId, many(300));
    await expect(server.service.file(tenantId, path)).rejects.toMatchObject({ code: 'not_found' });
    expect(await server.service.file(tenantId, 'tile/0/001.p/44')).toHaveLength(44 * 32);
    expect(await server.service.file(tenantId, 'tile/0/000.p/17')).toHaveLength(17 * 32);
  });
});

describe('a witness', () => {
  it('is remembered with the largest tree that it has confirmed', async () => {
    const tenantId = newId();
    const agent = newAgent();
    await write(tenantId, many(4));
    const early = agent.sees(await checkpointOf(tenantId, agent));
    await write(tenantId, many(4));
    const late = agent.sees(await checkpointOf(tenantId, agent));
    expect(await server.service.witness(tenantId, late)).toBe('agrees');
    expect(await server.service.witness(tenantId, early)).toBe('agrees');
    const { witnesses } = await server.service.state(tenantId);
    expect(witnesses).toMatchObject([{ agentId: agent.agentId, treeSize: 8, agrees: true }]);
  });

  it.each([
    ['another root for a size that we signed', 5, 'audit_log_split_view'],
    ['a size at which no checkpoint was signed', 3, 'audit_log_split_view'],
    ['a longer log than ours', 6, 'audit_log_shorter_than_witnessed'],
  ])('that has seen %s raises one alarm, and its evidence stays', async (_, size, code) => {
    const tenantId = newId();
    const agent = newAgent();
    await write(tenantId, many(5));
    const forked = agent.sees(forkedView(tenantId, size, 'ab'.repeat(32)));
    expect(await server.service.witness(tenantId, forked)).toBe('disagrees');
    expect(await server.service.witness(tenantId, forked)).toBe('disagrees');
    const honest = await checkpointOf(tenantId, agent);
    expect(await server.service.witness(tenantId, agent.sees(honest))).toBe('agrees');
    const { witnesses } = await server.service.state(tenantId);
    expect(witnesses).toMatchObject([{ agentId: agent.agentId, treeSize: size, agrees: false }]);
    const alarms = await server.service.list(tenantId, { ...page, action: 'agent.alarm' });
    expect(alarms.items.map(({ leaf }) => leaf.details['code'])).toEqual([code]);
    expect((await server.service.verify(tenantId, { kind: 'system', id: null })).ok).toBe(false);
  });

  it('whose signature does not hold counts for nothing', async () => {
    const tenantId = newId();
    const agent = newAgent();
    await write(tenantId, many(2));
    const seen = agent.sees(await checkpointOf(tenantId, agent));
    expect(await server.service.witness(tenantId, { ...seen, treeSize: 1 })).toBe('invalid');
    expect(await server.service.witness(tenantId, { ...seen, agentId: newId() })).toBe('invalid');
    expect((await server.service.state(tenantId)).witnesses).toEqual([]);
  });
});

describe('news of the log', () => {
  it('reaches screens once for a burst, with the newest size', async () => {
    const tenantId = newId();
    const told: unknown[] = [];
    let release: () => void = () => undefined;
    const burst = new Promise<void>((resolve) => (release = resolve));
    tellCheckpoints({
      ...{
        db: server.process.db,
        sealer: server.process.sealer,
        log: createLogger({ level: 'silent', role: 'test' }),
      },
      clock: { now: () => 0, sleep: () => burst },
      emit: async (_, event) => void told.push(event),
    });
    await write(tenantId, many(2));
    await write(tenantId, many(3));
    expect(told).toEqual([]);
    release();
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(told).toEqual([{ type: 'audit.checkpoint', subjectId: null, data: { size: 5 } }]);
  });
});

describe('a verification', () => {
  it('is recorded with what came out, by whom', async () => {
    const tenantId = newId();
    const personId = newId();
    await write(tenantId, many(3));
    const [one, other] = await Promise.all([
      server.service.verify(tenantId, { kind: 'person', id: personId }),
      server.service.verify(tenantId, { kind: 'person', id: personId }),
    ]);
    expect(one.ok && other.ok).toBe(true);
    const { items } = await server.service.list(tenantId, { ...page, action: 'audit.verified' });
    expect(items).toHaveLength(2);
    expect(items[0]?.leaf).toMatchObject({
      actorKind: 'person',
      actorId: personId,
      outcome: 'ok',
      details: { size: 3 },
    });
  });

  it('of a log that never was is fine and empty', async () => {
    const result = await server.service.verify(newId(), { kind: 'system', id: null });
    expect(result).toMatchObject({ ok: true, size: 0, firstBad: null });
  });

  it('can run while the log grows', async () => {
    const tenantId = newId();
    await write(tenantId, many(50));
    const writing = Promise.all(Array.from({ length: 10 }, () => write(tenantId, many(20))));
    const results = await Promise.all(
      [1, 2, 3].map(() => server.service.verify(tenantId, { kind: 'system', id: null })),
    );
    await writing;
    expect(results.map(({ ok, steps }) => [ok, steps.filter((step) => !step.ok)])).toEqual(
      results.map(() => [true, []]),
    );
  });
});
