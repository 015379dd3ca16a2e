import { createHash, createPublicKey, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

function hash(...pieces: Uint8Array[]): Buffer {
  const digest = createHash('sha256');
  for (const piece of pieces) digest.update(piece);
  return digest.digest();
}

/** Largest power of two below n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** Root of an RFC 6962 tree, written from the definition and not from the verifier. */
export function treeRoot(leaves: readonly Uint8Array[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return hash();
  if (leaves.length === 1) return hash(Buffer.from([0]), only);
  const k = split(leaves.length);
  return hash(Buffer.from([1]), treeRoot(leaves.slice(0, k)), treeRoot(leaves.slice(k)));
}

/** Audit path of leaf m (RFC 6962 section 2.1.1), hex. */
export function inclusionProof(leaves: readonly Uint8Array[], m: number): string[] {
  if (leaves.length <= 1) return [];
  const k = split(leaves.length);
  return m < k
    ? [...inclusionProof(leaves.slice(0, k), m), treeRoot(leaves.slice(k)).toString('hex')]
    : [...inclusionProof(leaves.slice(k), m - k), treeRoot(leaves.slice(0, k)).toString('hex')];
}

function subProof(leaves: readonly Uint8Array[], m: number, isWhole: boolean): string[] {
  if (m === leaves.length) return isWhole ? [] : [treeRoot(leaves).toString('hex')];
  const k = split(leaves.length);
  return m <= k
    ? [...subProof(leaves.slice(0, k), m, isWhole), treeRoot(leaves.slice(k)).toString('hex')]
    : [...subProof(leaves.slice(k), m - k, false), treeRoot(leaves.slice(0, k)).toString('hex')];
}

/** Proof that the first m leaves are a prefix (RFC 6962 section 2.1.2), hex. */
export function consistencyProof(leaves: readonly Uint8Array[], m: number): string[] {
  return m === 0 ? [] : subProof(leaves, m, true);
}

/** A signed checkpoint (C2SP tlog-checkpoint) of these leaves. */
export function signCheckpoint(
  leaves: readonly Uint8Array[],
  log: { origin: string; privateKey: KeyObject },
): string {
  const body = `${log.origin}\n${leaves.length}\n${treeRoot(leaves).toString('base64')}\n`;
  const raw = createPublicKey(log.privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
  const keyHash = hash(Buffer.from(`${log.origin}\n`), Buffer.from([1]), raw).subarray(0, 4);
  const blob = Buffer.concat([keyHash, sign(null, Buffer.from(body), log.privateKey)]).toString('base64');
  return `${body}\n— ${log.origin} ${blob}\n`;
}
