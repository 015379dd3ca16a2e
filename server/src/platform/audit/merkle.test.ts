import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appendLeaves, emptyFrontier, frontierRoot, type Frontier, type FullTile } from './frontier.ts';
import {
  consistencyProof,
  emptyRoot,
  hashLeaf,
  inclusionProof,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts';
import { nodesFromTiles, splitHashes, tileWidth, type TileReader } from './tiles.ts';

/** RFC 6962 word for word, recursive and slow: what the rest is compared with. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return hash('sha256', '', 'buffer');
  if (leaves.length === 1) return hash('sha256', Buffer.concat([Buffer.of(0), first]), 'buffer');
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const left = naiveRoot(leaves.slice(0, split));
  const right = naiveRoot(leaves.slice(split));
  return hash('sha256', Buffer.concat([Buffer.of(1), left, right]), 'buffer');
}

const leavesOf = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, index) => Buffer.from(`leaf ${index}`));

/** Tiles as the sealer stores them: full ones by key, partial ones from the frontier. */
function tilesOf(leaves: readonly Buffer[], cuts: readonly number[] = []): TileReader {
  let frontier = emptyFrontier;
  const full = new Map<string, FullTile>();
  const hashes = leaves.map(hashLeaf);
  const ends = [...new Set([...cuts.filter((cut) => cut < hashes.length), hashes.length])].sort(
    (a, b) => a - b,
  );
  let begin = 0;
  for (const end of ends) {
    const grown = appendLeaves(frontier, hashes.slice(begin, end));
    frontier = grown.frontier;
    for (const tile of grown.fullTiles) full.set(`${tile.level}/${tile.index}`, tile);
    begin = end;
  }
  return readerOf(frontier, [...full.values()]);
}

function readerOf(frontier: Frontier, fullTiles: readonly FullTile[]): TileReader {
  const full = new Map(fullTiles.map((tile) => [`${tile.level}/${tile.index}`, tile.hashes]));
  return (level, index, width) => {
    const tile = full.get(`${level}/${index}`) ?? Buffer.concat(frontier.partials[level] ?? []);
    return tile.subarray(0, width * 32);
  };
}

const size = fc.integer({ min: 1, max: 700 });

describe('the Merkle tree', () => {
  it('has the roots of the RFC 6962 test vectors', () => {
    const vectors = [
      '',
      '00',
      '10',
      '2021',
      '3031',
      '40414243',
      '5051525354555657',
      '606162636465666768696a6b6c6d6e6f',
    ];
    const leaves = vectors.map((hex) => Buffer.from(hex, 'hex'));
    const root = frontierRoot(appendLeaves(emptyFrontier, leaves.map(hashLeaf)).frontier);
    expect(root.toString('hex')).toBe('5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328');
    expect(emptyRoot.toString('hex')).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
  });

  it('gives the root of the naive tree whatever the batches in which it grew', async () => {
    await fc.assert(
      fc.asyncProperty(
        size,
        fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 6 }),
        async (count, cuts) => {
          const leaves = leavesOf(count);
          const expected = naiveRoot(leaves);
          const frontier = appendLeaves(emptyFrontier, leaves.map(hashLeaf)).frontier;
          expect(frontierRoot(frontier)).toEqual(expected);
          expect(await rootOf(nodesFromTiles(tilesOf(leaves, cuts), count), count)).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('grows past two levels of tiles', async () => {
    const count = tileWidth * tileWidth + 300;
    const grown = appendLeaves(emptyFrontier, leavesOf(count).map(hashLeaf));
    expect(grown.fullTiles.filter((tile) => tile.level === 1)).toHaveLength(1);
    const tiles = readerOf(grown.frontier, grown.fullTiles);
    expect(splitHashes(await tiles(2, 0, 1))).toHaveLength(1);
    const nodes = nodesFromTiles(tiles, count);
    const now = { size: count, root: frontierRoot(grown.frontier) };
    expect(await rootOf(nodes, count)).toEqual(now.root);
    const old = { size: 65_537, root: await rootOf(nodes, 65_537) };
    expect(verifyConsistency(old, now, await consistencyProof(nodes, old.size, count))).toBe(true);
  });

  it('proves every leaf, and no other leaf, place or root', async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), fc.nat(), async (count, pick, other) => {
        const leaves = leavesOf(count);
        const index = pick % count;
        const root = naiveRoot(leaves);
        const proof = await inclusionProof(nodesFromTiles(tilesOf(leaves), count), index, count);
        const leaf = { hash: hashLeaf(leaves[index] ?? Buffer.alloc(0)), index };
        expect(verifyInclusion(leaf, { size: count, root }, proof)).toBe(true);
        expect(
          verifyInclusion({ ...leaf, hash: hashLeaf(Buffer.from('x')) }, { size: count, root }, proof),
        ).toBe(false);
        expect(verifyInclusion(leaf, { size: count, root: emptyRoot }, proof)).toBe(false);
        expect(verifyInclusion(leaf, { size: count, root }, [...proof, emptyRoot])).toBe(false);
        if (proof.length > 0)
          expect(verifyInclusion(leaf, { size: count, root }, proof.slice(1))).toBe(false);
        const wrong = other % count;
        if (wrong !== index)
          expect(verifyInclusion({ ...leaf, index: wrong }, { size: count, root }, proof)).toBe(false);
      }),
      { numRuns: 100 },
    );
  });

  it('proves that it only grew, and refuses the proof for a changed past', async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), fc.nat(), async (count, pick, change) => {
        const leaves = leavesOf(count);
        const old = 1 + (pick % count);
        const proof = await consistencyProof(nodesFromTiles(tilesOf(leaves), count), old, count);
        const before = { size: old, root: naiveRoot(leaves.slice(0, old)) };
        const after = { size: count, root: naiveRoot(leaves) };
        expect(verifyConsistency(before, after, proof)).toBe(true);
        const forged = [...leaves];
        forged[change % old] = Buffer.from('rewritten');
        const forgedProof = await consistencyProof(nodesFromTiles(tilesOf(forged), count), old, count);
        expect(verifyConsistency(before, { size: count, root: naiveRoot(forged) }, forgedProof)).toBe(false);
        expect(verifyConsistency(before, after, [...proof, emptyRoot])).toBe(false);
      }),
      { numRuns: 100 },
    );
  });

  it('refuses to shrink', () => {
    const tree = (count: number) => ({ size: count, root: naiveRoot(leavesOf(count)) });
    expect(verifyConsistency(tree(9), tree(8), [])).toBe(false);
    expect(verifyConsistency({ size: 0, root: emptyRoot }, tree(8), [])).toBe(true);
  });
});
