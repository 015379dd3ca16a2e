import { AppError } from './errors.ts';

/** A position in a list: the sort keys of the last row, opaque to clients. */
export function encodeCursor(keys: readonly string[]): string {
  return Buffer.from(JSON.stringify(keys)).toString('base64url');
}

/** Reads a cursor back into its `count` keys; null without one. Throws invalid_request on anything that we did not make. */
export function decodeCursor(cursor: string | undefined, count: number): string[] | null {
  if (cursor === undefined) return null;
  const refuse = (): never => {
    throw new AppError('invalid_request', {
      fields: [{ path: '/query/cursor', rule: 'cursor', message: 'is not a cursor of this list' }],
    });
  };
  let keys: unknown;
  try {
    keys = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return refuse();
  }
  if (!Array.isArray(keys) || keys.length !== count || !keys.every((key) => typeof key === 'string'))
    return refuse();
  return keys;
}

/** Cuts a page out of `limit + 1` rows; the row too many says that there is more. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  shape: {
    readonly item: (row: Row) => Item;
    readonly keys: (row: Row) => readonly string[];
    readonly total?: number;
  },
): { items: Item[]; nextCursor: string | null; total: number | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(shape.item),
    nextCursor: rows.length > limit && last !== undefined ? encodeCursor(shape.keys(last)) : null,
    total: shape.total ?? null,
  };
}
