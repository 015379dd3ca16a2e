import type { AuditProof } from '#contract/audit.ts';
import { concat, sha256, toHex } from '../releases/bytes.ts';

interface Checkpoint {
  readonly size: number;
  readonly rootHex: string;
}

/** Size and root of a C2SP tlog-checkpoint: its second and third lines. Null when it is none. */
export function readCheckpoint(text: string): Checkpoint | null {
  const [, sizeLine, rootLine] = text.split('\n');
  const size = Number(sizeLine);
  if (rootLine === undefined || !Number.isSafeInteger(size) || size < 1) return null;
  try {
    const root = Uint8Array.from(atob(rootLine), (character) => character.charCodeAt(0));
    return root.length === 32 ? { size, rootHex: toHex(root) } : null;
  } catch {
    // Not base64: no checkpoint.
    return null;
  }
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Bytes of the leaf as the server gave them: base64url, or the JSON text itself. */
function leafBytes(leaf: string): Uint8Array {
  if (leaf.startsWith('{')) return new TextEncoder().encode(leaf);
  const binary = atob(leaf.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** Recomputes the root from an entry's bytes and its inclusion path (RFC 9162 section 2.1.3.2), in this browser. */
export async function checkInclusion(answer: AuditProof): Promise<boolean> {
  const checkpoint = readCheckpoint(answer.checkpoint);
  if (checkpoint === null || answer.index >= checkpoint.size) return false;
  let hash = await sha256(concat(Uint8Array.of(0), leafBytes(answer.leaf)));
  if (toHex(hash) !== answer.leafHash) return false;
  let position = answer.index;
  let last = checkpoint.size - 1;
  for (const hex of answer.proof) {
    const sibling = fromHex(hex);
    if (last === 0) return false;
    if (position % 2 === 1 || position === last) {
      hash = await sha256(concat(Uint8Array.of(1), sibling, hash));
      while (position % 2 === 0 && position !== 0) {
        position = Math.floor(position / 2);
        last = Math.floor(last / 2);
      }
    } else {
      hash = await sha256(concat(Uint8Array.of(1), hash, sibling));
    }
    position = Math.floor(position / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && toHex(hash) === checkpoint.rootHex;
}
