import { describe, expect, it } from 'vitest';
import { dropFilter, nextSort, readFilters, readTyped, writeFilters } from './filters.ts';

const siteId = '01890000-0000-7000-8000-000000000001';

describe('filters in the address', () => {
  it('come back as they were written', () => {
    const filters = {
      q: 'web',
      status: 'unknown',
      site: siteId,
      tag: 'db',
      agentState: 'silent',
      sort: '-lastSeenAt',
    } as const;
    expect(readFilters(writeFilters(filters))).toEqual(filters);
  });

  it('drop words that mean nothing, so that an old link still opens', () => {
    const query = new URLSearchParams('status=happy&site=x&tag=UPPER&sort=colour&agentState=asleep&q=%20');
    expect(readFilters(query)).toEqual({});
  });

  it('have one address for one view', () => {
    expect(writeFilters({ status: 'unknown', q: 'a' }).toString()).toBe(
      writeFilters({ q: 'a', status: 'unknown' }).toString(),
    );
  });

  it('lose only the one that is removed', () => {
    expect(dropFilter({ q: 'a', status: 'unknown' }, 'status')).toEqual({ q: 'a' });
  });
});

describe('words typed into the search box', () => {
  it('become filters when they are field:value', () => {
    const sites = [{ id: siteId, name: 'Nord' }];
    expect(readTyped('tag:db status:unknown site:nord srv', sites)).toEqual({
      q: 'srv',
      tag: 'db',
      status: 'unknown',
      site: siteId,
    });
  });
});

describe('the order of a column', () => {
  it('starts with what worries most and turns round', () => {
    expect(nextSort(undefined, 'pendingSecurity')).toBe('-pendingSecurity');
    expect(nextSort('-pendingSecurity', 'pendingSecurity')).toBe('pendingSecurity');
    expect(nextSort('hostname', 'hostname')).toBe('-hostname');
  });
});
