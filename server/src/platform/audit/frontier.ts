import { emptyRoot, hashNode } from './merkle.ts';
import { foldComplete, tileWidth } from './tiles.ts';

/** A tile that has just become full: it never changes again. */
export interface FullTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Buffer;
  /** Hash of the subtree under the tile: the entry for it one level above. */
  readonly root: Buffer;
}

/** Right edge of a tree: all that is needed to append and to know the root. Immutable: a failed write keeps the old one. */
export interface Frontier {
  readonly size: number;
  /** For each tile level, the hashes of its unfinished tile. */
  readonly partials: readonly (readonly Buffer[])[];
  /** Roots of the complete subtrees that make up the tree, largest first: a new leaf and the root cost a few hashes each. */
  readonly subtrees: readonly Buffer[];
}

export const emptyFrontier: Frontier = { size: 0, partials: [], subtrees: [] };

/** The frontier whose unfinished tiles are known. */
export function frontierOf(size: number, partials: readonly (readonly Buffer[])[]): Frontier {
  const subtrees: Buffer[] = [];
  for (const partial of [...partials].reverse()) subtrees.push(...completeSubtrees(partial));
  return { size, partials, subtrees };
}

/** The frontier after the leaves, and the tiles that they filled, lowest first. */
export function appendLeaves(
  frontier: Frontier,
  leafHashes: readonly Buffer[],
): { frontier: Frontier; fullTiles: FullTile[] } {
  const partials = frontier.partials.map((partial) => [...partial]);
  const subtrees = [...frontier.subtrees];
  const fullTiles: FullTile[] = [];
  let size = frontier.size;
  for (const leafHash of leafHashes) {
    join(subtrees, leafHash, size);
    size += 1;
    push(partials, leafHash, { size, fullTiles });
  }
  return { frontier: { size, partials, subtrees }, fullTiles };
}

/** Adds a leaf to a tree of `size` leaves: each power of two in a row that it completes becomes one subtree. */
function join(subtrees: Buffer[], leafHash: Buffer, size: number): void {
  let right = leafHash;
  for (let rest = size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    right = hashNode(subtrees.pop() ?? emptyRoot, right);
  }
  subtrees.push(right);
}

function push(partials: Buffer[][], leafHash: Buffer, out: { size: number; fullTiles: FullTile[] }): void {
  let carried: Buffer | undefined = leafHash;
  for (let level = 0; carried !== undefined; level += 1) {
    const partial = (partials[level] ??= []);
    partial.push(carried);
    if (partial.length < tileWidth) return;
    const root = foldComplete(partial);
    const index = out.size / tileWidth ** (level + 1) - 1;
    out.fullTiles.push({ level, index, hashes: Buffer.concat(partial), root });
    partials[level] = [];
    carried = root;
  }
}

/** Root of the whole tree (RFC 6962, section 2.1). */
export function frontierRoot({ subtrees }: Frontier): Buffer {
  let root = subtrees.at(-1) ?? emptyRoot;
  for (let at = subtrees.length - 2; at >= 0; at -= 1) root = hashNode(subtrees[at] ?? emptyRoot, root);
  return root;
}

/** Roots of the complete subtrees that make up a run of hashes, largest first. */
function completeSubtrees(hashes: readonly Buffer[]): Buffer[] {
  const roots: Buffer[] = [];
  let at = 0;
  for (let span = tileWidth / 2; span >= 1; span /= 2) {
    if (hashes.length - at < span) continue;
    roots.push(foldComplete(hashes.slice(at, at + span)));
    at += span;
  }
  return roots;
}
