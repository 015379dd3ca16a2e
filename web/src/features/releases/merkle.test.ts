import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from './bytes.ts';
import { merkleRoot } from './merkle.ts';

const hash = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

/** The definition of RFC 6962 section 2.1, word for word. */
function definedRoot(leaves: readonly Uint8Array[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return hash();
  if (leaves.length === 1) return hash(Buffer.of(0), first);
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return hash(Buffer.of(1), definedRoot(leaves.slice(0, split)), definedRoot(leaves.slice(split)));
}

describe('the Merkle root that the browser recomputes', () => {
  it('is the empty hash without leaves', async () => {
    expect(toHex(await merkleRoot([]))).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
  });

  it('is the one that RFC 6962 defines, for any leaves', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 40 }),
        async (leaves) => {
          expect(toHex(await merkleRoot(leaves))).toBe(definedRoot(leaves).toString('hex'));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('changes when two leaves change places', async () => {
    const [a, b, c] = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)];
    expect(toHex(await merkleRoot([a, b, c]))).not.toBe(toHex(await merkleRoot([b, a, c])));
  });
});
