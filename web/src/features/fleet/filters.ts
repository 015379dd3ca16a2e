import type { AgentSummary, HostSummary } from '#contract/fleet.ts';

/** What the fleet's list is narrowed to; every member is one word in the address and one chip on the screen. */
export interface HostFilters {
  readonly q?: string;
  readonly status?: HostSummary['status'];
  readonly site?: string;
  readonly tag?: string;
  readonly agentState?: AgentSummary['state'];
  readonly sort?: HostSort;
}
export type HostSort =
  'hostname' | '-hostname' | 'pendingSecurity' | '-pendingSecurity' | 'lastSeenAt' | '-lastSeenAt';

export const filterNames = ['q', 'status', 'site', 'tag', 'agentState'] as const;
export type FilterName = (typeof filterNames)[number];

const statuses: readonly HostSummary['status'][] = [
  'up_to_date',
  'updates_pending',
  'security_pending',
  'restart_required',
  'in_run',
  'attention',
  'unknown',
];
const agentStates: readonly AgentSummary['state'][] = [
  'connected',
  'silent',
  'never_connected',
  'revoked',
  'clone_suspected',
];
const sorts: readonly HostSort[] = [
  'hostname',
  '-hostname',
  'pendingSecurity',
  '-pendingSecurity',
  'lastSeenAt',
  '-lastSeenAt',
];

const oneOf = <T extends string>(values: readonly T[], given: string | null): T | undefined =>
  values.find((value) => value === given);

/** Filters of an address; words that mean nothing are dropped, so that an old link still opens. */
export function readFilters(query: URLSearchParams): HostFilters {
  const q = query.get('q')?.trim().slice(0, 100);
  const site = query.get('site');
  const tag = query.get('tag');
  const status = oneOf(statuses, query.get('status'));
  const agentState = oneOf(agentStates, query.get('agentState'));
  const sort = oneOf(sorts, query.get('sort'));
  return {
    ...(q === undefined || q === '' ? {} : { q }),
    ...(status === undefined ? {} : { status }),
    ...(site !== null && /^[0-9a-f-]{36}$/.test(site) ? { site } : {}),
    ...(tag !== null && /^[a-z0-9][a-z0-9._-]{0,39}$/.test(tag) ? { tag } : {}),
    ...(agentState === undefined ? {} : { agentState }),
    ...(sort === undefined ? {} : { sort }),
  };
}

/** The address part of filters, always in the same order: the same view has the same address. */
export function writeFilters(filters: HostFilters): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of [...filterNames, 'sort'] as const) {
    const value = filters[name];
    if (value !== undefined && value !== '') query.set(name, value);
  }
  return query;
}

/** Filters without one of them. */
export function dropFilter(filters: HostFilters, name: FilterName | 'sort'): HostFilters {
  return Object.fromEntries(Object.entries(filters).filter(([key]) => key !== name));
}

/** The next order of a column: first the useful one, then the other way round. */
export function nextSort(
  current: HostSort | undefined,
  column: 'hostname' | 'pendingSecurity' | 'lastSeenAt',
): HostSort {
  const first: HostSort = column === 'pendingSecurity' ? '-pendingSecurity' : column;
  const second: HostSort = column === 'pendingSecurity' ? 'pendingSecurity' : `-${column}`;
  return current === first ? second : first;
}

/** `field:value` words typed into the search box become filters, the rest stays a search. */
export function readTyped(text: string, sites: readonly { id: string; name: string }[]): HostFilters {
  const words: string[] = [];
  const query = new URLSearchParams();
  for (const word of text.trim().split(/\s+/)) {
    const [, field, value] = /^(status|statut|site|tag|agent):(.+)$/.exec(word) ?? [];
    if (field === undefined || value === undefined) words.push(word);
    else if (field === 'status' || field === 'statut') query.set('status', value);
    else if (field === 'agent') query.set('agentState', value);
    else if (field === 'tag') query.set('tag', value.toLowerCase());
    else
      query.set('site', sites.find((site) => site.name.toLowerCase() === value.toLowerCase())?.id ?? value);
  }
  query.set('q', words.join(' '));
  return readFilters(query);
}
