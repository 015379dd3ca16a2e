import type { AuditLeaf } from '#contract/audit.ts';
import type { Db } from '../db.ts';
import { logOrigin, openCheckpoint, type TreeHead } from './checkpoint.ts';
import { appendLeaves, emptyFrontier, frontierRoot, type Frontier, type FullTile } from './frontier.ts';
import { readCheckpointRows, readLeafRows, type CheckpointRow, type LeafRow } from './logRows.ts';
import { emptyRoot, hashLeaf } from './merkle.ts';
import { splitHashes } from './tiles.ts';

/** The first row that does not fit. `entryId` is null when no row is left to name. */
export interface Fault {
  readonly index: number;
  readonly entryId: string | null;
  readonly reason: string;
}

/** What walking the stored log from its first entry has shown. */
export interface Walk {
  /** Entries up to which the signed roots could be reproduced. */
  size: number;
  /** The first entry that is not what was sealed at its place. */
  entryFault: Fault | null;
  /** The first checkpoint that is missing, not ours, or not the root of its entries. */
  treeFault: Fault | null;
  checkpoints: number;
  /** Roots at the sizes that were asked for. */
  readonly rootsAt: Map<number, Buffer>;
  readonly fullTiles: FullTile[];
}

interface Log {
  readonly db: Db;
  readonly tenantId: string;
  readonly publicKeySpki: Buffer;
  readonly size: number;
}

/** What remains of a row once it is read: a page of leaves is not kept in memory. */
interface Seen {
  readonly entryId: string;
  readonly storedHash: Buffer;
  /** Null when the entry is gone. */
  readonly computedHash: Buffer | null;
  readonly mismatch: string | null;
}

function seenOf(row: LeafRow): Seen {
  const { entryId, storedHash, leaf } = row;
  if (leaf === null) return { entryId, storedHash, computedHash: null, mismatch: null };
  return { entryId, storedHash, computedHash: hashLeaf(leaf), mismatch: mismatchOf(row, leaf) };
}

/** What the columns for search say otherwise than the leaf. */
function mismatchOf(row: LeafRow, bytes: Buffer): string | null {
  let leaf: AuditLeaf;
  try {
    leaf = JSON.parse(bytes.toString('utf8')) as AuditLeaf;
  } catch {
    return 'the leaf is not JSON';
  }
  if (leaf.id !== row.entryId) return 'the place points to an entry with another identifier';
  const names = Object.keys(row.columns) as (keyof LeafRow['columns'])[];
  const differing = names.filter((name) => row.columns[name] !== leaf[name]);
  return differing.length === 0 ? null : `the search columns do not repeat the leaf: ${differing.join(', ')}`;
}

/** Why a row is not what was sealed at its place, or null. */
function faultOf(seen: Seen | undefined, sealedHash: Buffer): string | null {
  if (seen === undefined) return 'the row of this place was deleted';
  if (seen.computedHash === null) return 'the entry was deleted';
  if (!seen.computedHash.equals(sealedHash)) {
    const isOwnHash = seen.storedHash.equals(seen.computedHash);
    return isOwnHash
      ? 'another entry stands at this place than the one that was sealed'
      : 'the bytes of the entry are not those that were sealed';
  }
  if (!seen.storedHash.equals(sealedHash)) return 'the stored hash of this place was changed';
  return seen.mismatch;
}

/** Hands out the rows of consecutive ranges; a place without a row is undefined. */
function rangesOf(
  rows: AsyncGenerator<LeafRow>,
): (begin: number, end: number) => Promise<(Seen | undefined)[]> {
  let ahead: LeafRow | undefined;
  return async (begin, end) => {
    const range = new Array<Seen | undefined>(end - begin).fill(undefined);
    for (;;) {
      ahead ??= (await rows.next()).value as LeafRow | undefined;
      if (ahead === undefined || ahead.index >= end) return range;
      range[ahead.index - begin] = seenOf(ahead);
      ahead = undefined;
    }
  };
}

/**
 * Hashes every entry again, grows the tree from them and compares it with every stored checkpoint.
 * Where a checkpoint's own copy of its leaf hashes leads to the signed root, that copy says which row was changed.
 */
export async function walkLog(log: Log, marks: readonly number[]): Promise<Walk> {
  const walk: Walk = {
    size: 0,
    entryFault: null,
    treeFault: null,
    checkpoints: 0,
    rootsAt: new Map([[0, emptyRoot]]),
    fullTiles: [],
  };
  const take = rangesOf(readLeafRows(log.db, log.tenantId, log.size));
  let frontier: Frontier = emptyFrontier;
  for await (const checkpoint of readCheckpointRows(log.db, log.tenantId, log.size)) {
    const seen = await take(frontier.size, checkpoint.size);
    const grown = judgeCheckpoint(walk, { checkpoint, seen, frontier, log });
    if (grown === null) return walk;
    recordMarks(walk, marks, { frontier, hashes: grown.hashes });
    for (const tile of grown.fullTiles) walk.fullTiles.push(tile);
    frontier = grown.frontier;
    walk.size = frontier.size;
    walk.checkpoints += 1;
  }
  return walk;
}

interface Judged {
  readonly checkpoint: CheckpointRow;
  readonly seen: readonly (Seen | undefined)[];
  readonly frontier: Frontier;
  readonly log: Log;
}

interface Grown {
  readonly frontier: Frontier;
  readonly fullTiles: readonly FullTile[];
  readonly hashes: readonly Buffer[];
}

/** Notes what is wrong with one checkpoint and its entries. Null when the tree cannot be followed any further. */
function judgeCheckpoint(walk: Walk, judged: Judged): Grown | null {
  const { checkpoint, seen, frontier, log } = judged;
  const first = { index: frontier.size, entryId: seen[0]?.entryId ?? null };
  const head = openHead(checkpoint, log);
  if (typeof head === 'string') {
    walk.treeFault ??= { ...first, reason: `the checkpoint of ${checkpoint.size} entries: ${head}` };
    return null;
  }
  const copy = splitHashes(checkpoint.leafHashes);
  const computed = seen.map((one) => one?.computedHash ?? null);
  const grown = growTo(head.root, frontier, copy) ?? growTo(head.root, frontier, computed);
  if (grown === null) {
    const at = Math.max(
      0,
      copy.findIndex((hash, place) => computed[place]?.equals(hash) !== true),
    );
    const range = `entries ${frontier.size} to ${checkpoint.size - 1}`;
    const reason = `${range} do not have the root that was signed for ${checkpoint.size}`;
    walk.treeFault ??= { index: frontier.size + at, entryId: seen[at]?.entryId ?? null, reason };
    return null;
  }
  if (copy.length !== seen.length) {
    walk.treeFault ??= {
      ...first,
      reason: `a checkpoint between ${frontier.size} and ${checkpoint.size} is missing`,
    };
  } else if (copy.some((hash, place) => grown.hashes[place]?.equals(hash) !== true)) {
    walk.treeFault ??= {
      ...first,
      reason: `the leaf hashes beside checkpoint ${checkpoint.size} were changed`,
    };
  }
  for (const [place, sealedHash] of grown.hashes.entries()) {
    if (walk.entryFault !== null) break;
    const reason = faultOf(seen[place], sealedHash);
    if (reason === null) continue;
    walk.entryFault = { index: frontier.size + place, entryId: seen[place]?.entryId ?? null, reason };
  }
  return grown;
}

/** The tree after the hashes, when it has the wanted root. */
function growTo(root: Buffer, frontier: Frontier, hashes: readonly (Buffer | null)[]): Grown | null {
  const whole = hashes.filter((hash) => hash !== null);
  if (whole.length !== hashes.length) return null;
  const grown = appendLeaves(frontier, whole);
  return frontierRoot(grown.frontier).equals(root) ? { ...grown, hashes: whole } : null;
}

function openHead(checkpoint: CheckpointRow, log: Log): TreeHead | string {
  try {
    const head = openCheckpoint(checkpoint.note, {
      origin: logOrigin(log.tenantId),
      publicKeySpki: log.publicKeySpki,
    });
    const isRepeated = head.size === checkpoint.size && head.root.equals(checkpoint.root);
    return isRepeated ? head : 'its columns do not repeat the signed note';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function recordMarks(
  walk: Walk,
  marks: readonly number[],
  range: { frontier: Frontier; hashes: readonly Buffer[] },
): void {
  const { frontier, hashes } = range;
  for (const mark of marks) {
    if (mark <= frontier.size || mark > frontier.size + hashes.length || walk.rootsAt.has(mark)) continue;
    const upTo = appendLeaves(frontier, hashes.slice(0, mark - frontier.size)).frontier;
    walk.rootsAt.set(mark, frontierRoot(upTo));
  }
}
