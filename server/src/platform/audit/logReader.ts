import { sql } from 'kysely';
import type { AnyTx } from '../db.ts';
import { emptyFrontier, frontierOf, type Frontier } from './frontier.ts';
import { consistencyProof, inclusionProof } from './merkle.ts';
import { hashesAtTileLevel, hashBytes, nodesFromTiles, tileWidth, type TileReader } from './tiles.ts';

/** A stored checkpoint. */
export interface StoredCheckpoint {
  readonly size: number;
  readonly root: Buffer;
  /** The signed note. */
  readonly note: string;
  readonly at: Date;
}

/** Where an entry is in its tenant's tree. */
export interface StoredLeaf {
  readonly index: number;
  readonly entryId: string;
  readonly hash: Buffer;
  readonly leaf: Buffer;
}

/** A proof with the checkpoint to which it leads. */
export interface ProvedLeaf extends StoredLeaf {
  readonly proof: readonly Buffer[];
  readonly checkpoint: StoredCheckpoint;
}

/** The newest checkpoint of a tenant's log, or undefined when nothing is sealed yet. */
export async function latestCheckpoint(tx: AnyTx, tenantId: string): Promise<StoredCheckpoint | undefined> {
  const row = await tx
    .selectFrom('audit_checkpoints')
    .select(['tree_size as size', 'root', 'note', 'at'])
    .where('tenant_id', '=', tenantId)
    .orderBy('tree_size', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row;
}

/** Reads tiles of a tenant's log; a partial one comes from the leaves, or from the roots of the tiles below. */
export function tilesOf(tx: AnyTx, tenantId: string): TileReader {
  return async (level, index, width) => {
    const tile = await tx
      .selectFrom('audit_tiles')
      .select('hashes')
      .where('tenant_id', '=', tenantId)
      .where('level', '=', level)
      .where('tile_index', '=', index)
      .executeTakeFirst();
    if (tile !== undefined) return tile.hashes.subarray(0, width * hashBytes);
    return Buffer.concat(
      await partialHashes(tx, tenantId, { level, first: index * tileWidth, count: width }),
    );
  };
}

async function partialHashes(
  tx: AnyTx,
  tenantId: string,
  range: { level: number; first: number; count: number },
): Promise<Buffer[]> {
  const end = range.first + range.count;
  if (range.level === 0) {
    const rows = await tx
      .selectFrom('audit_leaves')
      .select('leaf_hash as hash')
      .where('tenant_id', '=', tenantId)
      .where('leaf_index', '>=', range.first)
      .where('leaf_index', '<', end)
      .orderBy('leaf_index')
      .execute();
    return rows.map(({ hash }) => hash);
  }
  const rows = await tx
    .selectFrom('audit_tiles')
    .select('root as hash')
    .where('tenant_id', '=', tenantId)
    .where('level', '=', range.level - 1)
    .where('tile_index', '>=', range.first)
    .where('tile_index', '<', end)
    .orderBy('tile_index')
    .execute();
  return rows.map(({ hash }) => hash);
}

/** The right edge of the tree of `size` leaves as it is stored; whoever uses it compares its root with a checkpoint. */
export async function readFrontier(tx: AnyTx, tenantId: string, size: number): Promise<Frontier> {
  if (size === 0) return emptyFrontier;
  const partials: Buffer[][] = [];
  for (let level = 0; hashesAtTileLevel(size, level) > 0; level += 1) {
    const total = hashesAtTileLevel(size, level);
    const first = total - (total % tileWidth);
    partials.push(await partialHashes(tx, tenantId, { level, first, count: total - first }));
  }
  return frontierOf(size, partials);
}

/** The leaf of an entry, or undefined while it is not sealed. */
export async function findLeaf(
  tx: AnyTx,
  tenantId: string,
  entryId: string,
): Promise<StoredLeaf | undefined> {
  return leafQuery(tx, tenantId).where('l.entry_id', '=', entryId).executeTakeFirst();
}

/** The leaf at a place of the tree. */
export async function leafAt(tx: AnyTx, tenantId: string, index: number): Promise<StoredLeaf | undefined> {
  return leafQuery(tx, tenantId).where('l.leaf_index', '=', index).executeTakeFirst();
}

function leafQuery(tx: AnyTx, tenantId: string) {
  return tx
    .selectFrom('audit_leaves as l')
    .innerJoin('audit_entries as e', (join) =>
      join.onRef('e.tenant_id', '=', 'l.tenant_id').onRef('e.entry_id', '=', 'l.entry_id'),
    )
    .select(['l.leaf_index as index', 'l.entry_id as entryId', 'l.leaf_hash as hash', 'e.leaf'])
    .where('l.tenant_id', '=', tenantId);
}

/** The leaf with its path to the newest checkpoint. */
export async function proveLeaf(
  tx: AnyTx,
  tenantId: string,
  leaf: StoredLeaf,
): Promise<ProvedLeaf | undefined> {
  const checkpoint = await latestCheckpoint(tx, tenantId);
  if (checkpoint === undefined || leaf.index >= checkpoint.size) return undefined;
  const nodes = nodesFromTiles(tilesOf(tx, tenantId), checkpoint.size);
  return { ...leaf, proof: await inclusionProof(nodes, leaf.index, checkpoint.size), checkpoint };
}

/** The newest checkpoint and the proof that it continues the tree of `fromSize` leaves; undefined when there is none or it is shorter. */
export async function proveGrowth(
  tx: AnyTx,
  tenantId: string,
  fromSize: number,
): Promise<{ checkpoint: StoredCheckpoint; proof: Buffer[] } | undefined> {
  const checkpoint = await latestCheckpoint(tx, tenantId);
  if (checkpoint === undefined || fromSize > checkpoint.size) return undefined;
  const nodes = nodesFromTiles(tilesOf(tx, tenantId), checkpoint.size);
  return { checkpoint, proof: await consistencyProof(nodes, fromSize, checkpoint.size) };
}

/** Leaves [first, first + count) in order, for an entry bundle. */
export async function readLeaves(
  tx: AnyTx,
  tenantId: string,
  range: { first: number; count: number },
): Promise<Buffer[]> {
  const rows = await leafQuery(tx, tenantId)
    .where('l.leaf_index', '>=', range.first)
    .where('l.leaf_index', '<', range.first + range.count)
    .orderBy('l.leaf_index')
    .execute();
  return rows.map(({ leaf }) => leaf);
}

/** Entries that are committed and have no place yet. */
export async function countPending(tx: AnyTx, tenantId: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) from audit_pending where tenant_id = ${tenantId}`.execute(tx);
  return rows[0]?.count ?? 0;
}
