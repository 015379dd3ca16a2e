import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freezeAt, subtract, type FreezeSpan } from './freezes.policy.ts';

const reach = 60;
const span = fc
  .tuple(fc.integer({ min: 0, max: reach - 1 }), fc.integer({ min: 1, max: reach }))
  .map(([a, b]) => ({ startMs: Math.min(a, b), endMs: Math.max(a, b) === a ? a + 1 : Math.max(a, b) }));
const freezes = fc
  .array(span, { maxLength: 6 })
  .map((spans) => spans.map((one, n): FreezeSpan => ({ ...one, freezeId: `f${n}`, name: `Gel ${n}` })));
const instants = Array.from({ length: reach + 2 }, (_, n) => n);
const holds = (one: { startMs: number; endMs: number }, at: number): boolean =>
  one.startMs <= at && at < one.endMs;

describe('taking freezes out of a window', () => {
  it('leaves exactly the instants that no freeze holds', () => {
    fc.assert(
      fc.property(span, freezes, (window, frozen) => {
        const { pieces } = subtract(window, frozen);
        for (const at of instants) {
          const open = holds(window, at) && !frozen.some((freeze) => holds(freeze, at));
          expect(pieces.some((piece) => holds(piece, at))).toBe(open);
        }
      }),
    );
  });

  it('leaves pieces that are in order, apart and not empty', () => {
    fc.assert(
      fc.property(span, freezes, (window, frozen) => {
        const { pieces } = subtract(window, frozen);
        for (const [n, piece] of pieces.entries()) {
          expect(piece.endMs).toBeGreaterThan(piece.startMs);
          expect(piece.startMs).toBeGreaterThan(pieces[n - 1]?.endMs ?? -1);
        }
      }),
    );
  });

  it('names every freeze that took something, and only those', () => {
    fc.assert(
      fc.property(span, freezes, (window, frozen) => {
        const named = subtract(window, frozen).cuts.map(({ freezeId }) => freezeId);
        const taking = frozen.filter((freeze) =>
          instants.some((at) => holds(window, at) && holds(freeze, at)),
        );
        expect(named.sort()).toEqual(taking.map(({ freezeId }) => freezeId).sort());
      }),
    );
  });
});

describe('the freeze that holds an instant', () => {
  it('is the one that lasts longest, and there is none after the last of them', () => {
    const [short, long] = [
      { freezeId: 'a', name: 'Paie', startMs: 10, endMs: 20 },
      { freezeId: 'b', name: 'Clôture', startMs: 15, endMs: 30 },
    ];
    expect(freezeAt([short, long], 9)).toBeNull();
    expect(freezeAt([short, long], 10)?.name).toBe('Paie');
    expect(freezeAt([short, long], 15)?.name).toBe('Clôture');
    expect(freezeAt([short, long], 30)).toBeNull();
  });
});
