import { sql } from 'kysely';
import { toInstant } from '../clock.ts';
import type { Db, SystemTx } from '../db.ts';
import { invariant } from '../errors.ts';
import { logOrigin, openCheckpoint, signCheckpoint, type LogKey, type TreeHead } from './checkpoint.ts';
import { appendLeaves, frontierRoot, type Frontier, type FullTile } from './frontier.ts';
import type { HeadMemory } from './headMemory.ts';
import { latestCheckpoint, readFrontier, tilesOf } from './logReader.ts';
import { rootOf } from './merkle.ts';
import { nodesFromTiles } from './tiles.ts';

/** A committed entry that waits for its place. */
export interface PendingEntry {
  readonly tenantId: string;
  readonly entryId: string;
  readonly leafHash: Buffer;
}

/** What one flush adds to one log. */
export interface Growth {
  readonly tenantId: string;
  readonly before: Frontier;
  readonly after: Frontier;
  readonly entries: readonly PendingEntry[];
  readonly fullTiles: readonly FullTile[];
  readonly root: Buffer;
  readonly note: string;
  readonly at: string;
}

/** The stored log does not continue what was signed or kept: nothing may be added until a person has looked. */
export class LogBroken extends Error {
  readonly tenantId: string;

  constructor(tenantId: string, why: string) {
    super(why);
    this.name = 'LogBroken';
    this.tenantId = tenantId;
  }
}

/** Position after which the next batch begins: turns fairly through the tenants. */
export interface Cursor {
  readonly tenantId: string;
  readonly entryId: string;
}
const nil = '00000000-0000-0000-0000-000000000000';
export const firstCursor: Cursor = { tenantId: nil, entryId: nil };

/** Committed entries without a place, in the order of their identifiers within a tenant. PostgreSQL hashes the leaves. */
export async function readPending(
  tx: SystemTx,
  request: { after: Cursor; limit: number; except: readonly string[] },
): Promise<PendingEntry[]> {
  const { rows } = await sql<PendingEntry>`
    /* prepared audit.pending */
    select p.tenant_id as "tenantId", p.entry_id as "entryId", sha256('\\x00'::bytea || e.leaf) as "leafHash"
    from audit_pending p
    join audit_entries e on e.tenant_id = p.tenant_id and e.entry_id = p.entry_id
    where (p.tenant_id, p.entry_id) > (${request.after.tenantId}::uuid, ${request.after.entryId}::uuid)
      and p.tenant_id <> all (${request.except}::uuid[])
    order by p.tenant_id, p.entry_id
    limit ${request.limit}`.execute(tx);
  return rows;
}

/**
 * Opens a log to append to it: its last checkpoint is signed by us, its tree still has that root,
 * and it continues what was kept on disk and what this process has `seen`. Throws LogBroken.
 */
export async function openLog(
  tx: SystemTx,
  tenantId: string,
  deps: { key: LogKey; memory: HeadMemory; seen: Frontier | undefined },
): Promise<Frontier> {
  const expected = { origin: logOrigin(tenantId), publicKeySpki: deps.key.publicKeySpki };
  const open = (note: string, what: string): TreeHead => {
    try {
      return openCheckpoint(note, expected);
    } catch (error) {
      throw new LogBroken(tenantId, `${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const stored = await latestCheckpoint(tx, tenantId);
  const head = stored === undefined ? undefined : open(stored.note, 'the stored checkpoint does not open');
  const size = head?.size ?? 0;
  const frontier = await readFrontier(tx, tenantId, size);
  if (head !== undefined && !frontierRoot(frontier).equals(head.root)) {
    throw new LogBroken(tenantId, `the stored tree of ${size} leaves does not have the root that was signed`);
  }
  await refuseLeavesBeyond(tx, tenantId, size);
  const keptNote = await deps.memory.read(tenantId);
  const earlier = [
    ...(keptNote === null ? [] : [open(keptNote, 'the kept checkpoint does not open')]),
    ...(deps.seen === undefined ? [] : [{ size: deps.seen.size, root: frontierRoot(deps.seen) }]),
  ];
  const nodes = nodesFromTiles(tilesOf(tx, tenantId), size);
  for (const past of earlier) {
    if (past.size > size) {
      throw new LogBroken(tenantId, `the log went backwards: ${size} leaves, ${past.size} were signed`);
    }
    if (!(await rootOf(nodes, past.size)).equals(past.root)) {
      throw new LogBroken(
        tenantId,
        `the log was rewritten: its first ${past.size} leaves are not those that were signed`,
      );
    }
  }
  return frontier;
}

async function refuseLeavesBeyond(tx: SystemTx, tenantId: string, size: number): Promise<void> {
  const beyond = await tx
    .selectFrom('audit_leaves')
    .select('leaf_index')
    .where('tenant_id', '=', tenantId)
    .where('leaf_index', '>=', size)
    .limit(1)
    .executeTakeFirst();
  if (beyond !== undefined) {
    throw new LogBroken(
      tenantId,
      `leaf ${beyond.leaf_index} is beyond the last checkpoint of ${size} leaves`,
    );
  }
}

/** Places the entries and signs the new head. Nothing is stored or published yet. */
export async function growLog(
  frontier: Frontier,
  entries: readonly PendingEntry[],
  deps: { key: LogKey; nowMs: number },
): Promise<Growth> {
  const tenantId = entries[0]?.tenantId;
  invariant(tenantId !== undefined, 'a log grows by at least one entry');
  const grown = appendLeaves(
    frontier,
    entries.map(({ leafHash }) => leafHash),
  );
  const root = frontierRoot(grown.frontier);
  const head = { origin: logOrigin(tenantId), size: grown.frontier.size, root };
  return {
    tenantId,
    before: frontier,
    after: grown.frontier,
    entries,
    fullTiles: grown.fullTiles,
    root,
    note: await signCheckpoint(head, deps.key),
    at: toInstant(deps.nowMs),
  };
}

/**
 * Stores the growth of several logs in one transaction.
 * Fails, leaving nothing, when another sealer has used a place or an entry: the primary keys are the fence.
 */
export async function storeGrowths(db: Db, growths: readonly Growth[], channel: string): Promise<void> {
  const leaves = growths.flatMap(({ before, entries }) =>
    entries.map((entry, offset) => ({ index: before.size + offset, ...entry })),
  );
  const tenantIds = leaves.map(({ tenantId }) => tenantId);
  const entryIds = leaves.map(({ entryId }) => entryId);
  await db.inSystem('audit.seal', async (tx) => {
    // None waits for another: they share a round trip.
    const [removed] = await Promise.all([
      sql`
        /* prepared audit.unpend */
        delete from audit_pending p
        using unnest(${tenantIds}::uuid[], ${entryIds}::uuid[]) as t (tenant_id, entry_id)
        where p.tenant_id = t.tenant_id and p.entry_id = t.entry_id`.execute(tx),
      sql`
        /* prepared audit.place */
        insert into audit_leaves (tenant_id, leaf_index, entry_id, leaf_hash)
        select t.tenant_id, t.leaf_index, t.entry_id, substring(${Buffer.concat(leaves.map((leaf) => leaf.leafHash))}::bytea from ((t.at - 1) * 32 + 1)::int for 32)
        from unnest(${tenantIds}::uuid[], ${leaves.map((leaf) => leaf.index)}::bigint[], ${entryIds}::uuid[])
          with ordinality as t (tenant_id, leaf_index, entry_id, at)`.execute(tx),
      storeTiles(tx, growths),
      storeCheckpoints(tx, growths),
      sql`select pg_notify(${channel}, '')`.execute(tx),
    ]);
    invariant(Number(removed.numAffectedRows) === leaves.length, 'an entry was sealed by somebody else');
  });
}

async function storeTiles(tx: SystemTx, growths: readonly Growth[]): Promise<void> {
  const tiles = growths.flatMap(({ tenantId, fullTiles }) =>
    fullTiles.map(({ level, index, hashes, root }) => ({
      tenant_id: tenantId,
      level,
      tile_index: index,
      hashes,
      root,
    })),
  );
  if (tiles.length > 0) await tx.insertInto('audit_tiles').values(tiles).execute();
}

async function storeCheckpoints(tx: SystemTx, growths: readonly Growth[]): Promise<void> {
  await tx
    .insertInto('audit_checkpoints')
    .values(
      growths.map(({ tenantId, after, root, note, entries, at }) => ({
        tenant_id: tenantId,
        tree_size: after.size,
        root,
        note,
        leaf_hashes: Buffer.concat(entries.map(({ leafHash }) => leafHash)),
        at,
      })),
    )
    .execute();
}

/** The stored heads of logs, to see whether they are still where we left them. */
export async function readHeads(
  tx: SystemTx,
  tenantIds: readonly string[],
): Promise<Map<string, { size: number; root: Buffer }>> {
  const { rows } = await sql<{ tenantId: string; size: number; root: Buffer }>`
    /* prepared audit.heads */
    select t.tenant_id as "tenantId", c.tree_size as size, c.root
    from unnest(${tenantIds}::uuid[]) as t (tenant_id)
    cross join lateral (
      select tree_size, root from audit_checkpoints c
      where c.tenant_id = t.tenant_id order by tree_size desc limit 1
    ) as c`.execute(tx);
  return new Map(rows.map(({ tenantId, size, root }) => [tenantId, { size, root }]));
}
