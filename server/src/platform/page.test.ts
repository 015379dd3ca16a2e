import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newId } from './ids.ts';
import { byId, decodeCursor, encodeCursor, idPage, pageOf } from './page.ts';

const refusal = expect.objectContaining({ code: 'invalid_request' }) as Error;

describe('a list by identifier', () => {
  it('gives every row once, whatever the size of its pages', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 9 }), (count, limit) => {
        const rows = Array.from({ length: count }, () => ({ id: newId() })).sort((a, b) =>
          a.id < b.id ? 1 : -1,
        );
        const seen: string[] = [];
        let cursor: string | undefined;
        do {
          const page = idPage({ cursor, limit });
          const rest = rows.filter(({ id }) => page.before === null || id < page.before).slice(0, limit + 1);
          const { items, nextCursor } = pageOf(rest, page.limit, { item: ({ id }) => id, keys: byId });
          seen.push(...items);
          cursor = nextCursor ?? undefined;
        } while (cursor !== undefined);
        expect(seen).toEqual(rows.map(({ id }) => id));
      }),
    );
  });

  it('starts at the beginning with fifty rows when nothing is said', () => {
    expect(idPage({})).toEqual({ before: null, limit: 50 });
  });
});

describe('a cursor', () => {
  it.each([
    ['no JSON', 'abc'],
    ['an object', Buffer.from('{"0":"a"}').toString('base64url')],
    ['too few keys', encodeCursor(['name'])],
    ['too many keys', encodeCursor(['hostname', 'name', newId(), newId()])],
    ['another order', encodeCursor(['lastSeenAt', 'name', newId()])],
    ['an identifier that is none', encodeCursor(['hostname', 'name', 'me'])],
    ['a zero in a name', encodeCursor(['hostname', 'a\u0000b', newId()])],
    ['a number in place of a text', Buffer.from(`["hostname",1,"${newId()}"]`).toString('base64url')],
  ])('of %s is refused', (_what, cursor) => {
    expect(() => decodeCursor(cursor, [{ is: 'hostname' }, 'text', 'id'])).toThrow(refusal);
  });

  it('with a number that is none is refused', () => {
    for (const value of ['1.5', 'NaN', '', '9'.repeat(17), '1e3'])
      expect(() => decodeCursor(encodeCursor([value, newId()]), ['integer', 'id'])).toThrow(refusal);
  });

  it('comes back as it was written', () => {
    const keys = ['-lastSeenAt', '-12', newId()];
    expect(decodeCursor(encodeCursor(keys), [{ is: '-lastSeenAt' }, 'integer', 'id'])).toEqual(keys);
    expect(decodeCursor(undefined, ['id'])).toBeNull();
  });
});
