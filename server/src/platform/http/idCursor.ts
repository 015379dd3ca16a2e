import { AppError } from '../errors.ts';
import { isUuid } from '../ids.ts';

const defaultLimit = 50;

/** Where a page begins, for lists in the order of their version 7 identifiers: the cursor is the last identifier shown. */
export function idPage(query: { readonly cursor?: string; readonly limit?: number }): {
  readonly before: string | null;
  readonly limit: number;
} {
  const { cursor } = query;
  if (cursor !== undefined && !isUuid(cursor)) {
    throw new AppError('invalid_request', {
      fields: [
        { path: '/cursor', rule: 'cursor', message: 'take the cursor from the page before, unchanged' },
      ],
    });
  }
  return { before: cursor ?? null, limit: query.limit ?? defaultLimit };
}
