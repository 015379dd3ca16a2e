import { describe, expect, it } from 'vitest';
import { packWords } from './nodes.ts';

const read = (text: string) => JSON.parse(text) as { from: string; words: { payload: { n: number } }[] };

describe('words between nodes', () => {
  it('leave together, in order, each once, in notifications that PostgreSQL carries', () => {
    const words = Array.from({ length: 500 }, (_one, n) => ({
      topic: 'order',
      payload: { n, id: 'x'.repeat(80) },
    }));
    const packed = packWords('me', words);
    expect(packed.length).toBeGreaterThan(1);
    for (const text of packed) expect(Buffer.byteLength(text)).toBeLessThan(8_000);
    const all = packed.map(read);
    expect(all.every(({ from }) => from === 'me')).toBe(true);
    expect(all.flatMap((one) => one.words.map(({ payload }) => payload.n))).toEqual(
      words.map((_one, n) => n),
    );
  });

  it('never keep others back when one is too long, letters of several bytes included', () => {
    const long = { topic: 'order', payload: { n: 0, text: 'é'.repeat(4_000) } };
    const packed = packWords('me', [
      { topic: 'order', payload: { n: 1 } },
      long,
      { topic: 'order', payload: { n: 2 } },
    ]);
    expect(packed.map(read).flatMap((one) => one.words.map(({ payload }) => payload.n))).toEqual([1, 2]);
    expect(packWords('me', [])).toEqual([]);
  });
});
