import { concat, sha256 } from './bytes.ts';

const leafPrefix = Uint8Array.of(0);
const nodePrefix = Uint8Array.of(1);

/** Root of an RFC 6962 tree over the given leaves, in order. */
export async function merkleRoot(leaves: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  if (leaves.length === 0) return sha256(new Uint8Array(0));
  let level = await Promise.all(leaves.map((leaf) => sha256(concat(leafPrefix, leaf))));
  // Pairing from the left and carrying an odd last node up is the same tree as the RFC's split at a power of two.
  while (level.length > 1) {
    const next: Uint8Array<ArrayBuffer>[] = [];
    for (let index = 0; index < level.length; index += 2) {
      const left = level[index];
      const right = level[index + 1];
      if (left === undefined) continue;
      next.push(right === undefined ? left : await sha256(concat(nodePrefix, left, right)));
    }
    level = next;
  }
  return level[0] ?? sha256(new Uint8Array(0));
}
