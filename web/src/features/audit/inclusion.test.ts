import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkInclusion, readCheckpoint } from './inclusion.ts';

const hash = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
const leafHash = (leaf: string): Buffer => hash(Buffer.of(0), Buffer.from(leaf));

/** Root and inclusion path by the recursive definitions of RFC 6962 section 2.1. */
function treeOf(leaves: readonly string[], index: number): { root: Buffer; path: Buffer[] } {
  if (leaves.length === 1) return { root: leafHash(leaves[0] ?? ''), path: [] };
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  const [l, r] = [treeOf(left, index < split ? index : 0), treeOf(right, index < split ? 0 : index - split)];
  const path = index < split ? [...l.path, r.root] : [...r.path, l.root];
  return { root: hash(Buffer.of(1), l.root, r.root), path };
}

function proofOf(leaves: readonly string[], index: number) {
  const { root, path } = treeOf(leaves, index);
  const leaf = leaves[index] ?? '';
  return {
    index,
    leaf,
    leafHash: leafHash(leaf).toString('hex'),
    proof: path.map((node) => node.toString('hex')),
    checkpoint: `log\n${leaves.length}\n${root.toString('base64')}\n\n— log sig\n`,
  };
}

const leavesOf = (size: number): string[] => Array.from({ length: size }, (_, n) => `{"n":${n}}`);

describe('an entry’s proof', () => {
  it('leads to the root for every entry of every tree up to 20', async () => {
    for (let size = 1; size <= 20; size += 1) {
      for (let index = 0; index < size; index += 1) {
        expect([size, index, await checkInclusion(proofOf(leavesOf(size), index))]).toEqual([
          size,
          index,
          true,
        ]);
      }
    }
  });

  it('fails when the entry, the path or the position is another', async () => {
    const good = proofOf(leavesOf(7), 4);
    const other = leafHash('{"n":99}').toString('hex');
    expect(await checkInclusion({ ...good, leaf: '{"n":99}' })).toBe(false);
    expect(await checkInclusion({ ...good, leaf: '{"n":99}', leafHash: other })).toBe(false);
    expect(await checkInclusion({ ...good, proof: [...good.proof].reverse() })).toBe(false);
    expect(await checkInclusion({ ...good, index: 5 })).toBe(false);
    expect(await checkInclusion({ ...good, proof: good.proof.slice(1) })).toBe(false);
  });

  it('needs a checkpoint with a size and a root', () => {
    expect(readCheckpoint('log\nmany\nAAAA\n')).toBeNull();
    expect(readCheckpoint('log\n3\nAAAA\n')).toBeNull();
  });
});
