import { hash } from 'node:crypto';

/** SHA-256 of nothing: the root of an empty tree (RFC 6962, section 2.1). */
export const emptyRoot: Buffer = hash('sha256', '', 'buffer');

const leafPrefix = Buffer.of(0);
const nodePrefix = Buffer.of(1);

/** Gives the hash of the complete subtree of 2^level leaves that begins at leaf `index * 2^level`. */
export type NodeReader = (level: number, index: number) => Promise<Buffer> | Buffer;

/** Hash of a leaf (RFC 6962, section 2.1). */
export function hashLeaf(leaf: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([leafPrefix, leaf]), 'buffer');
}

/** Hash of an inner node. */
export function hashNode(left: Uint8Array, right: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([nodePrefix, left, right]), 'buffer');
}

/** Largest power of two that is smaller than `count`; `count` ≥ 2. Sizes reach past 2^32, so no bit operators. */
function splitPoint(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

/** Hash of leaves [begin, end) where `begin` is a multiple of a power of two ≥ end − begin. */
async function rangeHash(read: NodeReader, begin: number, end: number): Promise<Buffer> {
  const count = end - begin;
  const level = Math.log2(count);
  if (Number.isInteger(level)) return read(level, begin / count);
  const middle = begin + splitPoint(count);
  return hashNode(await rangeHash(read, begin, middle), await rangeHash(read, middle, end));
}

/** Root of the first `size` leaves. */
export async function rootOf(read: NodeReader, size: number): Promise<Buffer> {
  return size === 0 ? emptyRoot : rangeHash(read, 0, size);
}

/** Audit path of leaf `index` in the tree of `size` leaves (RFC 6962, section 2.1.1), from the leaf up. */
export async function inclusionProof(read: NodeReader, index: number, size: number): Promise<Buffer[]> {
  if (index < 0 || index >= size) throw new RangeError(`leaf ${index} is not in a tree of ${size}`);
  const path: Buffer[] = [];
  let begin = 0;
  let end = size;
  while (end - begin > 1) {
    const middle = begin + splitPoint(end - begin);
    const goesLeft = index < middle;
    path.push(await (goesLeft ? rangeHash(read, middle, end) : rangeHash(read, begin, middle)));
    if (goesLeft) end = middle;
    else begin = middle;
  }
  return path.reverse();
}

/** Proof that the tree of `oldSize` leaves is the beginning of that of `newSize` (RFC 6962, section 2.1.2). */
export async function consistencyProof(
  read: NodeReader,
  oldSize: number,
  newSize: number,
): Promise<Buffer[]> {
  if (oldSize < 0 || oldSize > newSize) throw new RangeError(`no proof from ${oldSize} to ${newSize} leaves`);
  if (oldSize === 0 || oldSize === newSize) return [];
  const path: Buffer[] = [];
  let begin = 0;
  let end = newSize;
  while (end !== oldSize) {
    const middle = begin + splitPoint(end - begin);
    if (oldSize <= middle) {
      path.push(await rangeHash(read, middle, end));
      end = middle;
    } else {
      path.push(await rangeHash(read, begin, middle));
      begin = middle;
    }
  }
  // The old root is known to the verifier when the walk never left the left edge.
  if (begin > 0) path.push(await rangeHash(read, begin, end));
  return path.reverse();
}

const isOdd = (value: number): boolean => value % 2 === 1;
const half = (value: number): number => Math.floor(value / 2);

/** True when `proof` leads from the leaf's hash to `root` (RFC 9162, section 2.1.3.2). */
export function verifyInclusion(
  leaf: { hash: Buffer; index: number },
  tree: { size: number; root: Buffer },
  proof: readonly Buffer[],
): boolean {
  if (leaf.index < 0 || leaf.index >= tree.size) return false;
  let position = leaf.index;
  let last = tree.size - 1;
  let result = leaf.hash;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (isOdd(position) || position === last) {
      result = hashNode(sibling, result);
      while (!isOdd(position) && position !== 0) {
        position = half(position);
        last = half(last);
      }
    } else {
      result = hashNode(result, sibling);
    }
    position = half(position);
    last = half(last);
  }
  return last === 0 && result.equals(tree.root);
}

interface Tree {
  readonly size: number;
  readonly root: Buffer;
}

/** True when `proof` shows that `old` is the beginning of `now` (RFC 9162, section 2.1.4.2). */
export function verifyConsistency(old: Tree, now: Tree, proof: readonly Buffer[]): boolean {
  if (old.size > now.size) return false;
  if (old.size === now.size) return proof.length === 0 && old.root.equals(now.root);
  if (old.size === 0) return proof.length === 0 && old.root.equals(emptyRoot);
  const path = Number.isInteger(Math.log2(old.size)) ? [old.root, ...proof] : [...proof];
  let position = old.size - 1;
  let last = now.size - 1;
  while (isOdd(position)) {
    position = half(position);
    last = half(last);
  }
  const first = path.shift();
  if (first === undefined) return false;
  let oldRoot = first;
  let newRoot = first;
  for (const node of path) {
    if (last === 0) return false;
    if (isOdd(position) || position === last) {
      oldRoot = hashNode(node, oldRoot);
      newRoot = hashNode(node, newRoot);
      while (!isOdd(position) && position !== 0) {
        position = half(position);
        last = half(last);
      }
    } else {
      newRoot = hashNode(newRoot, node);
    }
    position = half(position);
    last = half(last);
  }
  return last === 0 && oldRoot.equals(old.root) && newRoot.equals(now.root);
}
