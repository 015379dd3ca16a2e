import { AppError } from './errors.ts';
import { isUuid } from './ids.ts';

/** What a caller says about the page it wants. */
export interface PageQuery {
  readonly cursor?: string | undefined;
  /** Rows; 50 when absent. */
  readonly limit?: number | undefined;
}

/** A page of a list in the order of its version 7 identifiers, newest first. */
export interface IdPage {
  /** The last identifier that was shown; null at the beginning. */
  readonly before: string | null;
  readonly limit: number;
}

/** What a key of a cursor must be; `is` ties a cursor to one order of the list. */
type CursorKey = 'text' | 'integer' | 'id' | { readonly is: string };

const defaultLimit = 50;

/** Rows of a page. */
export function limitOf(query: PageQuery): number {
  return query.limit ?? defaultLimit;
}

/** A position in a list: the sort keys of the last row, opaque to clients. */
export function encodeCursor(keys: readonly string[]): string {
  return Buffer.from(JSON.stringify(keys)).toString('base64url');
}

function isKey(key: unknown, kind: CursorKey): key is string {
  if (typeof key !== 'string') return false;
  if (typeof kind === 'object') return key === kind.is;
  if (kind === 'id') return isUuid(key);
  // PostgreSQL keeps no zero in a text.
  return kind === 'text' ? !key.includes('\u0000') : /^-?\d{1,16}$/.test(key);
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    // Bytes that are no JSON are no cursor: the caller hears so below.
    return null;
  }
}

/** Reads a cursor back into its keys; null without one. Throws invalid_request on anything that we did not make. */
export function decodeCursor(cursor: string | undefined, kinds: readonly CursorKey[]): string[] | null {
  if (cursor === undefined) return null;
  const keys = parse(cursor);
  const fits =
    Array.isArray(keys) && keys.length === kinds.length && kinds.every((kind, n) => isKey(keys[n], kind));
  if (fits) return keys as string[];
  throw new AppError('invalid_request', {
    fields: [
      {
        path: '/query/cursor',
        rule: 'cursor',
        message: 'take the cursor from the page before, with the same order',
      },
    ],
  });
}

/** Where a page begins in a list by identifier. Throws invalid_request on a cursor of another list. */
export function idPage(query: PageQuery): IdPage {
  return { before: decodeCursor(query.cursor, ['id'])?.[0] ?? null, limit: limitOf(query) };
}

/** Cuts a page out of `limit + 1` rows; the row too many says that there is more. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  shape: {
    readonly item: (row: Row) => Item;
    readonly keys: (row: Row) => readonly string[];
    readonly total?: number | null;
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

/** The sort key of lists by identifier. */
export function byId(row: { readonly id: string }): readonly string[] {
  return [row.id];
}
