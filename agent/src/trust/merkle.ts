import { sha256 } from './bytes.ts';

/** Hash of a leaf (RFC 6962 section 2.1): domain-separated by a zero byte, so that no leaf passes for a node. */
export function leafHash(leaf: Uint8Array): Buffer {
  return sha256(Buffer.from([0x00]), leaf);
}

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return sha256(Buffer.from([0x01]), left, right);
}

function readPath(proof: readonly string[]): Buffer[] {
  return proof.map((hex) => Buffer.from(hex, 'hex'));
}

/** What an inclusion proof speaks of: leaf `index` in a tree of `size` leaves with this root (hex). */
export interface Inclusion {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly root: string;
  readonly proof: readonly string[];
}

/** Verifies an audit path (RFC 9162 section 2.1.3.2, same tree as RFC 6962). */
export function verifyInclusion(claim: Inclusion): boolean {
  if (!Number.isSafeInteger(claim.index) || claim.index < 0 || claim.index >= claim.size) return false;
  let fn = BigInt(claim.index);
  let sn = BigInt(claim.size - 1);
  let hash = leafHash(claim.leaf);
  for (const sibling of readPath(claim.proof)) {
    if (sibling.length !== 32 || sn === 0n) return false;
    if ((fn & 1n) === 1n || fn === sn) {
      hash = nodeHash(sibling, hash);
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && hash.toString('hex') === claim.root;
}

/** What a consistency proof speaks of: the tree of size `from` is a prefix of the tree of size `to`. Roots in hex. */
export interface Consistency {
  readonly from: { readonly size: number; readonly root: string };
  readonly to: { readonly size: number; readonly root: string };
  readonly proof: readonly string[];
}

/** Verifies a consistency proof (RFC 9162 section 2.1.4.2). The empty tree is a prefix of every tree. */
export function verifyConsistency({ from, to, proof }: Consistency): boolean {
  if (from.size > to.size) return false;
  if (from.size === 0) return proof.length === 0;
  if (from.size === to.size) return proof.length === 0 && from.root === to.root;
  const isPowerOfTwo = Number.isInteger(Math.log2(from.size));
  const path = readPath(isPowerOfTwo ? [from.root, ...proof] : proof);
  const first = path.shift();
  if (first === undefined || proof.length === 0) return false;
  let fn = BigInt(from.size - 1);
  let sn = BigInt(to.size - 1);
  while ((fn & 1n) === 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [older, newer] = [first, first];
  for (const node of path) {
    if (node.length !== 32 || sn === 0n) return false;
    if ((fn & 1n) === 1n || fn === sn) {
      older = nodeHash(node, older);
      newer = nodeHash(node, newer);
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      newer = nodeHash(newer, node);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && older.toString('hex') === from.root && newer.toString('hex') === to.root;
}
