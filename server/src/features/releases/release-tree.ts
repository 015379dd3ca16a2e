import { hash } from 'node:crypto';
import { hashLeaf, hashNode, inclusionProof, rootOf } from '../../platform/audit/merkle.ts';
import type { NodeReader } from '../../platform/audit/merkle.ts';
import { invariant } from '../../platform/errors.ts';

/** Complete nodes of an RFC 6962 tree that is held in memory. */
function memoryNodes(leaves: readonly Uint8Array[]): NodeReader {
  const levels: Buffer[][] = [leaves.map(hashLeaf)];
  for (let below = levels[0]; below !== undefined && below.length > 1; below = levels.at(-1)) {
    const level: Buffer[] = [];
    for (let index = 0; index + 1 < below.length; index += 2) {
      level.push(hashNode(below[index] as Buffer, below[index + 1] as Buffer));
    }
    levels.push(level);
  }
  return (level, index) => {
    const node = levels[level]?.[index];
    invariant(node !== undefined, `node ${level}/${index} is not in the tree`);
    return node;
  };
}

/** Root over the target documents in order, lower-case hexadecimal. */
export async function targetsRoot(documents: readonly Uint8Array[]): Promise<string> {
  return (await rootOf(memoryNodes(documents), documents.length)).toString('hex');
}

/** RFC 6962 audit path of one target document, lower-case hexadecimal. */
export async function targetProof(documents: readonly Uint8Array[], index: number): Promise<string[]> {
  const path = await inclusionProof(memoryNodes(documents), index, documents.length);
  return path.map((node) => node.toString('hex'));
}

/** SHA-256 in lower-case hexadecimal. */
export function sha256Hex(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}
