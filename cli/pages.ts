interface PageOf<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

/** Every item of a paged list, page after page. */
export async function collectPages<T>(
  readPage: (query: { readonly limit: 200; readonly cursor?: string }) => Promise<PageOf<T>>,
): Promise<T[]> {
  const items: T[] = [];
  for (let query: { limit: 200; cursor?: string } | null = { limit: 200 }; query !== null;) {
    const page: PageOf<T> = await readPage(query);
    items.push(...page.items);
    query = page.nextCursor === null ? null : { limit: 200, cursor: page.nextCursor };
  }
  return items;
}
