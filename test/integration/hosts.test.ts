import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentStates, hostSorts, hostStatuses } from '#contract/fleet.ts';
import type { FleetSummary, HostSummary } from '#contract/fleet.ts';
import { ReleaseDesk, update } from '../harness/release-desk.ts';

interface HostPage {
  readonly items: readonly HostSummary[];
  readonly nextCursor: string | null;
  readonly total: number | null;
}

type Filter = readonly [Readonly<Record<string, string>>, (host: HostSummary) => boolean];

let desk: ReleaseDesk;
let all: readonly HostSummary[];

/** Every page of a list, from the first to the last. */
async function pagesOf(query: Readonly<Record<string, string>>): Promise<HostPage[]> {
  const pages: HostPage[] = [];
  for (let cursor: string | null = null; pages.length === 0 || cursor !== null;) {
    const page: HostPage = await desk.must<HostPage>('olga', 'listHosts', {
      query: new URLSearchParams({ ...query, limit: '3', ...(cursor === null ? {} : { cursor }) }).toString(),
    });
    pages.push(page);
    cursor = page.nextCursor;
  }
  return pages;
}

const idsOf = (hosts: readonly HostSummary[]): string[] => hosts.map(({ id }) => id).sort();

beforeAll(async () => {
  desk = await ReleaseDesk.open({ olga: ['operator'] });
  const states = [
    { updates: [] },
    { updates: [update('vim', { security: false })] },
    { restartRequired: true },
    { failedUnits: ['nginx.service'] },
    {},
  ];
  for (let index = 0; index < 15; index += 1) await desk.host(`srv-${index}`, states[index % states.length]);
  await desk.host('unread', null);
  const agentOf = `where host_id = (select id from hosts where hostname = $1)`;
  await desk.query(`update agents set last_seen_at = now() - interval '1 hour' ${agentOf}`, ['srv-7']);
  await desk.query(`update agents set clone_suspected_at = now() ${agentOf}`, ['srv-8']);
  await desk.query(`update agents set revoked_at = now(), revoked_reason = 'gone' ${agentOf}`, ['srv-9']);
  await desk.query(`update agents set last_seen_at = null ${agentOf}`, ['srv-10']);
  await desk.query(`delete from agents ${agentOf}`, ['srv-11']);
  // Enrolled again: what counts is the newest agent.
  await desk.query(
    `insert into agents (id, tenant_id, host_id, result_public_key, connected_at, last_seen_at)
     select uuidv7(), tenant_id, host_id, result_public_key, now(), now() + interval '1 hour' from agents ${agentOf}`,
    ['srv-9'],
  );
  await desk.query(`update hosts set tags = '{rack-1}' where hostname in ('srv-1', 'srv-12')`);
  ({ items: all } = await desk.must<HostPage>('olga', 'listHosts', { query: 'limit=100' }));
}, 120_000);

afterAll(() => desk.close());

describe('the list of hosts', () => {
  it('knows each host once, with the state of its newest agent', () => {
    expect(all).toHaveLength(16);
    const stateOf = Object.fromEntries(all.map(({ hostname, agentState }) => [hostname, agentState]));
    expect(stateOf).toMatchObject({
      ...{ 'srv-0': 'connected', 'srv-7': 'silent', 'srv-8': 'clone_suspected', 'srv-9': 'connected' },
      ...{ 'srv-10': 'never_connected', 'srv-11': 'never_connected' },
    });
    expect(new Set(all.map(({ status }) => status)).size).toBeGreaterThanOrEqual(6);
  });

  it('shows each host once over its pages in every order, and says on each page how many there are', async () => {
    for (const sort of hostSorts) {
      const pages = await pagesOf({ sort });
      expect(idsOf(pages.flatMap(({ items }) => items))).toEqual(idsOf(all));
      expect(new Set(pages.map(({ total }) => total))).toEqual(new Set([16]));
    }
  });

  it('shows and counts just the hosts that a filter asks for, on the first page and on those after it', async () => {
    const filters: readonly Filter[] = [
      ...hostStatuses.map((status): Filter => [{ status }, (host) => host.status === status]),
      ...agentStates.map((agentState): Filter => [{ agentState }, (host) => host.agentState === agentState]),
      [{ q: 'SRV-1' }, ({ hostname }) => hostname.includes('srv-1')],
      [{ tag: 'rack-1' }, ({ tags }) => tags.includes('rack-1')],
      [
        { q: 'srv-1', agentState: 'connected' },
        ({ hostname, agentState }) => hostname.includes('srv-1') && agentState === 'connected',
      ],
      [{ q: '%' }, () => false],
    ];
    for (const [query, isWanted] of filters) {
      const pages = await pagesOf(query);
      const wanted = all.filter(isWanted);
      expect(idsOf(pages.flatMap(({ items }) => items)), JSON.stringify(query)).toEqual(idsOf(wanted));
      expect(new Set(pages.map(({ total }) => total)), JSON.stringify(query)).toEqual(
        new Set([wanted.length]),
      );
    }
  });

  it('agrees with the counts of the first screen', async () => {
    const summary = await desk.must<FleetSummary>('olga', 'getFleetSummary');
    expect(summary.total).toBe(16);
    const byStatus = summary.byStatus as Readonly<Record<string, number>>;
    for (const status of hostStatuses)
      expect(byStatus[status]).toBe(all.filter((host) => host.status === status).length);
    expect(summary.agentsConnected).toBe(all.filter(({ agentState }) => agentState === 'connected').length);
  });
});
