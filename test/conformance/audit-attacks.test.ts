import { generateKeyPairSync, sign } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyDirectory } from '../../cli/audit/verifyDirectory.ts';
import { logOrigin, parseCheckpointText } from '../../server/src/platform/audit/checkpoint.ts';
import { cosignedMessage, witnessName } from '../../server/src/platform/audit/cosignature.ts';
import { noteKeyId, parseNote, rawEd25519, verifierKey } from '../../server/src/platform/audit/note.ts';
import { exportLog } from '../../server/src/features/audit/exportLog.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { attack, createFolder, startAuditServer, type AuditServer } from '../harness/auditAttacks.ts';
import { draftOf, newLogKey } from '../harness/auditLog.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';
import { prepareForeignTools, type ExportedLog, type ForeignTools } from '../harness/foreignTools.ts';

const key = newLogKey();
const tenantId = newId();
const actor = { kind: 'system', id: null } as const;
/** Batches in which the log grew: two full tiles, a partial one, and single entries at the end. */
const batches = [1, 1, 250, 3, 120, 200, 40, 5, 1, 1, 1];
const size = batches.reduce((sum, count) => sum + count, 0);
/** Entries when the outside checkpoint was kept. */
const keptSize = size - 2;

let tools: ForeignTools;
let honest: TestDatabase;
let disk: { path: string; remove: () => Promise<void> };
let copies: { path: string; remove: () => Promise<void> };
let keptFile: string;

beforeAll(async () => {
  tools = await prepareForeignTools();
  honest = await createTestDatabase();
  disk = await createFolder();
  copies = await createFolder();
  keptFile = path.join(copies.path, 'kept.checkpoint');
  const server = await startAuditServer(honest, { key, memoryDirectory: disk.path });
  let written = 0;
  for (const count of batches) {
    const drafts = Array.from({ length: count }, (_, at) => draftOf(written + at));
    const receipts = await server.process.db.inTenant(tenantId, (tx) =>
      server.process.writer.recordMany(tx, drafts),
    );
    const proved = await server.process.sealer.sealed(tenantId, receipts.at(-1)?.id ?? '', {
      timeoutMs: 5000,
    });
    written += count;
    if (written === keptSize) await writeFile(keptFile, proved.checkpoint.note);
  }
  await cosign(server);
  await server.stop();
}, 600_000);

afterAll(async () => {
  await honest.drop();
  await disk.remove();
  await copies.remove();
});

/** An agent sees the newest checkpoint and signs it. */
async function cosign(server: AuditServer): Promise<void> {
  const agentId = newId();
  const pair = generateKeyPairSync('ed25519');
  const publicKeySpki = pair.publicKey.export({ type: 'spki', format: 'der' });
  const state = await server.service.state(tenantId);
  const head = parseCheckpointText(parseNote(state.checkpoint).text);
  const blob = Buffer.alloc(76);
  noteKeyId(witnessName(agentId), 4, rawEd25519(publicKeySpki)).copy(blob);
  blob.writeBigUInt64BE(1_790_000_000n, 4);
  sign(null, cosignedMessage(head, 1_790_000_000), pair.privateKey).copy(blob, 12);
  const verdict = await server.service.witness(tenantId, {
    ...{ agentId, publicKeySpki, treeSize: head.size, rootSha256: head.root.toString('hex') },
    signature: blob.toString('base64url'),
  });
  expect(verdict).toBe('agrees');
}

interface Outcome {
  readonly verification: Awaited<ReturnType<AuditServer['service']['verify']>>;
  readonly exported: ExportedLog;
}

/** What the server says of the log after the statements, and a copy of the log for the foreign tools. */
async function after(
  statements: readonly string[],
  options: { memoryDirectory?: string; reseal?: boolean } = {},
): Promise<Outcome> {
  const database = await honest.clone();
  const empty = await createFolder();
  const memoryDirectory = options.memoryDirectory ?? empty.path;
  const directory = path.join(copies.path, newId());
  try {
    await attack(database, statements);
    if (options.reseal === true) await resealAsThief(database);
    const server = await startAuditServer(database, { key, memoryDirectory });
    try {
      const verification = await server.service.verify(tenantId, actor);
      await exportLog(server.service, tenantId, directory);
      return { verification, exported: { directory, keptFile } };
    } finally {
      await server.stop();
    }
  } finally {
    await database.drop();
    await empty.remove();
  }
}

/** Whoever holds the database and the log's key can make a log that is right in itself. */
async function resealAsThief(database: TestDatabase): Promise<void> {
  const folder = await createFolder();
  const thief = await startAuditServer(database, { key, memoryDirectory: folder.path });
  try {
    const own = await thief.process.db.inTenant(tenantId, (tx) =>
      thief.process.writer.record(tx, draftOf(-1)),
    );
    await thief.process.sealer.sealed(tenantId, own.id, { timeoutMs: 5000 });
  } finally {
    await thief.stop();
    await folder.remove();
  }
}

const place = (index: number): string => `tenant_id = '${tenantId}' and leaf_index = ${index}`;
const entryOf = (index: number): string => `(select entry_id from audit_leaves where ${place(index)})`;
const cut = (from: number): string[] => [
  `delete from audit_entries where entry_id in (select entry_id from audit_leaves where leaf_index >= ${from})`,
  `delete from audit_leaves where leaf_index >= ${from}`,
  `delete from audit_checkpoints where tree_size > ${from}`,
  `delete from audit_tiles where (tile_index + 1) * 256 > ${from}`,
];

describe('the log as the server wrote it', () => {
  it('is accepted by the server, by our own checker, by Go, by tessera and by Python', async () => {
    const { verification, exported } = await after([], { memoryDirectory: disk.path });
    expect(verification.steps.filter((step) => !step.ok)).toEqual([]);
    expect(verification).toMatchObject({ ok: true, size, firstBad: null });
    expect(verification.steps.map(({ step }) => step)).toEqual([
      'entries',
      'tree',
      'tiles',
      'witnesses',
      'kept',
      'completeness',
      'evidence',
    ]);
    expect(await verifyDirectory(exported)).toMatchObject({ ok: true, firstBad: null });
    for (const tool of [tools.goTlog, tools.python, tools.fsck]) {
      const verdict = await tool(exported);
      expect(verdict.output).toMatch(/verified \d+ entries|Successfully fsck'd/);
      expect(verdict.ok).toBe(true);
    }
  });

  it('is signed for its own origin: another key of the same name opens nothing', async () => {
    const { exported } = await after([]);
    const keyFile = path.join(exported.directory, 'log.vkey');
    await writeFile(keyFile, verifierKey(logOrigin(tenantId), newLogKey().publicKeySpki));
    expect((await tools.goTlog(exported)).ok).toBe(false);
    expect((await tools.python(exported)).ok).toBe(false);
    expect((await tools.fsck(exported)).ok).toBe(false);
    expect((await verifyDirectory(exported)).ok).toBe(false);
  });
});

/** Attacks on one row by the owner of the database; `bad` is the row that must be named. */
const rowAttacks = {
  'edits an entry': {
    bad: 123,
    sql: [
      `update audit_entries set leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"ok"', '"failed"'), 'UTF8') where entry_id = ${entryOf(123)}`,
    ],
  },
  'edits an entry and makes its stored hash fit': {
    bad: 301,
    sql: [
      `update audit_entries set leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"ok"', '"failed"'), 'UTF8') where entry_id = ${entryOf(301)}`,
      `update audit_leaves l set leaf_hash = sha256('\\x00'::bytea || e.leaf) from audit_entries e where e.entry_id = l.entry_id and ${place(301).replace('tenant_id', 'l.tenant_id')}`,
    ],
  },
  'deletes an entry': { bad: 77, sql: [`delete from audit_entries where entry_id = ${entryOf(77)}`] },
  'deletes an entry and its place': {
    bad: 600,
    sql: [
      `delete from audit_entries where entry_id = ${entryOf(600)}`,
      `delete from audit_leaves where ${place(600)}`,
    ],
  },
  'swaps two places': {
    bad: 530,
    sql: [
      `update audit_leaves set leaf_index = 1000000 where ${place(530)}`,
      `update audit_leaves set leaf_index = 530 where ${place(531)}`,
      `update audit_leaves set leaf_index = 531 where tenant_id = '${tenantId}' and leaf_index = 1000000`,
    ],
  },
  'swaps the bytes of two entries': {
    bad: 40,
    sql: [
      `update audit_entries e set leaf = o.leaf from audit_entries o
       where (e.entry_id, o.entry_id) in ((${entryOf(40)}, ${entryOf(41)}), (${entryOf(41)}, ${entryOf(40)}))`,
    ],
  },
};

describe('the owner of the database', () => {
  it.each(Object.entries(rowAttacks))(
    'who %s is found out, and the row is named',
    async (_, { bad, sql }) => {
      const { verification, exported } = await after(sql);
      expect(verification.ok).toBe(false);
      expect(verification.firstBad?.index).toBe(bad);
      const copy = { directory: exported.directory };
      const own = await verifyDirectory(copy);
      expect(own.ok).toBe(false);
      const verdicts = await Promise.all([tools.goTlog(copy), tools.python(copy), tools.fsck(copy)]);
      expect(verdicts.map(({ ok }) => ok)).toEqual([false, false, false]);
      // Under a full tile foreign tools name the row too; above the last one a copy holds nothing to compare it with.
      if (bad >= 512) return;
      const [go, python] = verdicts;
      for (const verdict of [go, python]) expect(verdict?.output).toMatch(new RegExp(`entry ${bad}\\b`));
    },
  );

  it('who edits an entry that search shows, but not its leaf, is found out', async () => {
    const { verification } = await after([
      `update audit_entries set action = 'release.approved' where entry_id = ${entryOf(9)}`,
    ]);
    expect(verification).toMatchObject({ ok: false, firstBad: { index: 9 } });
    expect(verification.firstBad?.reason).toContain('action');
  });

  it('who rewrites an entry and everything that follows from it, but cannot sign, is found out', async () => {
    const last = size - 1;
    const { verification, exported } = await after([
      `update audit_entries set leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"ok"', '"failed"'), 'UTF8') where entry_id = ${entryOf(last)}`,
      `update audit_leaves l set leaf_hash = sha256('\\x00'::bytea || e.leaf) from audit_entries e where e.entry_id = l.entry_id and l.leaf_index = ${last}`,
      `update audit_checkpoints c set leaf_hashes = l.leaf_hash from audit_leaves l where l.leaf_index = ${last} and c.tree_size = ${size}`,
    ]);
    expect(verification).toMatchObject({ ok: false, firstBad: { index: last } });
    expect((await tools.goTlog(exported)).ok).toBe(false);
    expect((await tools.python(exported)).ok).toBe(false);
  });

  it('who hides an entry that waits to be sealed is found out', async () => {
    const { verification } = await after([
      `insert into audit_entries select tenant_id, gen_random_uuid(), leaf, at, action, actor_kind, actor_id, subject_type, subject_id, outcome from audit_entries limit 1`,
    ]);
    const failed = verification.steps.filter((step) => !step.ok);
    expect(failed.map(({ step }) => step)).toEqual(['completeness']);
  });

  it('who removes a checkpoint is found out', async () => {
    const { verification } = await after(['delete from audit_checkpoints where tree_size = 255']);
    expect(verification).toMatchObject({ ok: false, firstBad: { index: 252 } });
  });

  it('who changes a tile is found out, and the entry under it is named', async () => {
    const { verification, exported } = await after([
      "update audit_tiles set hashes = overlay(hashes placing sha256('x') from 32 * 5 + 1) where level = 0 and tile_index = 1",
    ]);
    expect(verification).toMatchObject({ ok: false, firstBad: { index: 261 } });
    const verdict = await tools.python(exported);
    expect(verdict.ok).toBe(false);
    expect(verdict.output).toContain('entry 261');
  });

  it.each([
    ['what the disk remembers', true],
    ['what an agent has seen', false],
  ])('who cuts off the end is found out by %s', async (_, withDisk) => {
    const { verification, exported } = await after(
      cut(keptSize - 1),
      withDisk ? { memoryDirectory: disk.path } : {},
    );
    expect(verification).toMatchObject({
      ok: false,
      size: keptSize - 1,
      firstBad: { index: keptSize - 1, entryId: null },
    });
    const failed = verification.steps.filter((step) => !step.ok).map(({ step }) => step);
    expect(failed).toEqual(withDisk ? ['witnesses', 'kept'] : ['witnesses']);
    for (const tool of [tools.goTlog, tools.python]) {
      expect(await tool({ directory: exported.directory })).toMatchObject({ ok: true });
      expect(await tool(exported)).toMatchObject({ ok: false });
    }
    expect(await verifyDirectory(exported)).toMatchObject({ ok: false, firstBad: { index: keptSize - 1 } });
  });

  it('who cuts off the end carelessly is found out by the log itself', async () => {
    const { verification, exported } = await after([
      `delete from audit_leaves where leaf_index >= ${size - 3}`,
    ]);
    expect(verification).toMatchObject({ ok: false, firstBad: { index: size - 3 } });
    expect((await tools.goTlog({ directory: exported.directory })).ok).toBe(false);
    expect((await tools.fsck(exported)).ok).toBe(false);
  });
});

describe('whoever holds the database and the key of the log', () => {
  const fork = [
    `update audit_entries set leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"ok"', '"failed"'), 'UTF8'), outcome = 'failed' where entry_id = ${entryOf(300)}`,
    'insert into audit_pending (tenant_id, entry_id) select tenant_id, entry_id from audit_entries',
    'truncate audit_leaves, audit_tiles, audit_checkpoints',
  ];

  it('and makes another log of it is found out by the checkpoint on disk, and by foreign tools with a kept one', async () => {
    const { verification, exported } = await after(fork, { reseal: true, memoryDirectory: disk.path });
    expect(verification.steps.filter((step) => !step.ok).map(({ step }) => step)).toEqual([
      'witnesses',
      'kept',
    ]);
    expect(verification.firstBad?.reason).toMatch(/rewritten|two versions/);
    expect(await tools.fsck(exported)).toMatchObject({ ok: true });
    for (const tool of [tools.goTlog, tools.python]) {
      expect(await tool({ directory: exported.directory })).toMatchObject({ ok: true });
      expect(await tool(exported)).toMatchObject({ ok: false });
    }
    expect(await verifyDirectory(exported)).toMatchObject({ ok: false });
  });

  it('and also made the disk forget is found out by the agent that has signed', async () => {
    const { verification } = await after(fork, { reseal: true });
    expect(verification.steps.filter((step) => !step.ok).map(({ step }) => step)).toEqual(['witnesses']);
  });

  it('keeps the exported checkpoint readable: what it promises is in the directory', async () => {
    const { exported } = await after([]);
    const note = await readFile(path.join(exported.directory, 'checkpoint'), 'utf8');
    expect(note.startsWith(`${logOrigin(tenantId)}\n`)).toBe(true);
    expect(note).toContain('atlas-agent-');
  });
});
