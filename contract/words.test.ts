import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { digestWords } from './words.ts';

describe('the words of a digest', () => {
  it('are the first 66 bits, eleven a word', () => {
    // BIP-39's own test vector: the first words of an all-zero and of an all-one entropy.
    expect(digestWords('0'.repeat(64))).toEqual(Array<string>(6).fill('abandon'));
    expect(digestWords('f'.repeat(64))).toEqual(Array<string>(6).fill('zoo'));
    expect(digestWords(`7f${'7f'.repeat(31)}`)).toEqual('legal winner thank year wave sausage'.split(' '));
  });

  it('differ when the document differs', () => {
    const words = (text: string) => digestWords(createHash('sha256').update(text).digest('hex')).join(' ');
    const all = new Set(Array.from({ length: 1000 }, (_, n) => words(String(n))));
    expect(all.size).toBe(1000);
  });

  it('exist for digests only', () => {
    for (const text of ['', 'abandon', 'F'.repeat(64), '0'.repeat(63)]) {
      expect(() => digestWords(text)).toThrow(RangeError);
    }
  });
});
