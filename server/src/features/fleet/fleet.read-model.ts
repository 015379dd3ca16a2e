import { sql, type RawBuilder } from 'kysely';
import { hostStatuses, type HostSummary } from '#contract/fleet.ts';
import type { Inventory } from '#contract/inventory.ts';
import type { HealthCheck } from '#contract/verbs.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { decodeCursor, limitOf, pageOf, type PageQuery } from '../../platform/page.ts';
import type { HostSort } from './fleet.policy.ts';

export interface HostFilter {
  readonly q?: string;
  readonly status?: HostSummary['status'];
  readonly site?: string;
  readonly tag?: string;
  readonly agentState?: HostSummary['agentState'];
}

interface HostPage extends HostFilter, PageQuery {
  readonly sort?: HostSort;
}

const columns = [
  'id',
  'hostname',
  'site_id',
  'site_name',
  'tags',
  'health_checks',
  'version',
  'agent_id',
  'agent_state',
  'last_seen_at',
  'os_name',
  'pending_updates',
  'pending_security',
  'restart_required',
  'guard_tier',
  'collected_at',
  'active_run_id',
  'status',
  'reach',
] as const;

function overview(tx: TenantTx) {
  return tx.selectFrom('host_overview').select(columns).$narrowType<{
    id: string;
    hostname: string;
    site_id: string;
    site_name: string;
    tags: string[];
    version: number;
    agent_state: HostSummary['agentState'];
    guard_tier: HostSummary['guardTier'];
    status: HostSummary['status'];
    reach: HostSummary['reach'];
  }>();
}

type OverviewRow = Awaited<ReturnType<ReturnType<typeof overview>['executeTakeFirstOrThrow']>>;

/** A host with what lists do not show. */
export interface HostView {
  readonly summary: HostSummary;
  readonly agentId: string | null;
  readonly healthChecks: HealthCheck[];
}

function view(row: OverviewRow): HostView {
  const instant = (at: Date | null): string | null => (at === null ? null : toInstant(at));
  const summary: HostSummary = {
    id: row.id,
    hostname: row.hostname,
    siteId: row.site_id,
    siteName: row.site_name,
    tags: row.tags,
    status: row.status,
    agentState: row.agent_state,
    reach: row.reach,
    osName: row.os_name,
    pendingUpdates: row.pending_updates,
    pendingSecurity: row.pending_security,
    restartRequired: row.restart_required,
    guardTier: row.guard_tier,
    lastInventoryAt: instant(row.collected_at),
    lastSeenAt: instant(row.last_seen_at),
    activeRunId: row.active_run_id,
    version: row.version,
  };
  // Checked against the contract when they were written.
  return { summary, agentId: row.agent_id, healthChecks: row.health_checks as unknown as HealthCheck[] };
}

export async function findHost(tx: TenantTx, hostId: string): Promise<HostView | undefined> {
  const row = await overview(tx)
    .modifyFront(sql`/* prepared fleet.findHost */`)
    .where('id', '=', hostId)
    .executeTakeFirst();
  return row === undefined ? undefined : view(row);
}

const sortKeys = {
  hostname: sql<string>`hostname`,
  // A host of which nothing is known comes below one with nothing to install.
  pendingSecurity: sql<number>`coalesce(pending_security, -1)`,
  lastSeenAt: sql<number>`(extract(epoch from coalesce(last_seen_at, 'epoch'::timestamptz)) * 1000000)::bigint`,
} as const;

const everything = (tx: TenantTx) => tx.selectFrom('host_overview');

/** Enough where neither the status nor the agent's state is asked for: both are worked out for each host. */
const stored = (tx: TenantTx) =>
  tx.selectFrom('hosts as host_overview') as unknown as ReturnType<typeof everything>;

function filtered(from: ReturnType<typeof everything>, filter: HostFilter) {
  const { q, status, site, tag, agentState } = filter;
  const like = `%${(q ?? '').toLowerCase().replace(/[\\%_]/g, (character) => `\\${character}`)}%`;
  return from
    .$if(q !== undefined, (query) => query.where('hostname', 'like', like))
    .$if(status !== undefined, (query) => query.where('status', '=', status ?? null))
    .$if(site !== undefined, (query) => query.where('site_id', '=', site ?? null))
    .$if(tag !== undefined, (query) => query.where(sql<boolean>`tags @> ${[tag]}::text[]`))
    .$if(agentState !== undefined, (query) => query.where('agent_state', '=', agentState ?? null));
}

function readCursor(
  cursor: string | undefined,
  sort: HostSort,
): { value: string | number; id: string } | null {
  const isName = sort.endsWith('hostname');
  const keys = decodeCursor(cursor, [{ is: sort }, isName ? 'text' : 'integer', 'id']);
  if (keys === null) return null;
  const [, value = '', id = ''] = keys;
  return { value: isName ? value : Number(value), id };
}

/** Hosts in the order asked for; equal ones by identifier, so that no page skips or repeats one. */
export async function listHosts(
  tx: TenantTx,
  page: HostPage,
): Promise<{ items: HostSummary[]; nextCursor: string | null; total: number | null }> {
  const sort = page.sort ?? 'hostname';
  const limit = limitOf(page);
  const isDescending = sort.startsWith('-');
  const key: RawBuilder<string | number> = sortKeys[sort.replace('-', '') as keyof typeof sortKeys];
  const direction = isDescending ? ('desc' as const) : ('asc' as const);
  const from = readCursor(page.cursor, sort);
  const beyond =
    from === null
      ? sql<boolean>`true`
      : isDescending
        ? sql<boolean>`(${key}, id) < (${from.value}, ${from.id}::uuid)`
        : sql<boolean>`(${key}, id) > (${from.value}, ${from.id}::uuid)`;
  const isStored = page.status === undefined && page.agentState === undefined;
  // The first page of what has to be worked out for each host counts on the way; beyond it the count is of all pages.
  const countsOnTheWay = !isStored && from === null;
  const count = countsOnTheWay
    ? null
    : await filtered(isStored ? stored(tx) : everything(tx), page)
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow();
  const rows = (await filtered(everything(tx), page)
    .select([...columns, key.as('sort_key')])
    .$if(countsOnTheWay, (query) => query.select(sql<number>`count(*) over ()`.as('count')))
    .where(beyond)
    .orderBy(key, direction)
    .orderBy('id', direction)
    .limit(limit + 1)
    .execute()) as unknown as (OverviewRow & { sort_key: string | number; count?: number })[];
  return pageOf(rows, limit, {
    item: (row) => view(row).summary,
    keys: (row) => [sort, String(row.sort_key), row.id],
    total: Number(count?.count ?? rows[0]?.count ?? 0),
  });
}

export interface FleetCounts {
  readonly total: number;
  readonly byStatus: Record<HostSummary['status'], number>;
  readonly agentsConnected: number;
  readonly pendingSecurity: number;
}

export async function countFleet(tx: TenantTx): Promise<FleetCounts> {
  const rows = await tx
    .selectFrom('host_overview')
    .modifyFront(sql`/* prepared fleet.count */`)
    .select(({ fn }) => [
      'status',
      fn.countAll<number>().as('hosts'),
      sql<number>`count(*) filter (where agent_state = 'connected')`.as('connected'),
      sql<number>`coalesce(sum(pending_security), 0)::bigint`.as('security'),
    ])
    .groupBy('status')
    .execute();
  const sum = (values: number[]): number => values.reduce((total, value) => total + Number(value), 0);
  const byStatus = Object.fromEntries(
    hostStatuses.map((status) => [
      status,
      sum(rows.filter((row) => row.status === status).map((row) => row.hosts)),
    ]),
  ) as Record<HostSummary['status'], number>;
  return {
    total: sum(rows.map((row) => row.hosts)),
    byStatus,
    agentsConnected: sum(rows.map((row) => row.connected)),
    pendingSecurity: sum(rows.map((row) => row.security)),
  };
}

/** A host as the planner sees it. */
export interface HostCandidate {
  readonly hostId: string;
  readonly hostname: string;
  readonly siteName: string;
  readonly tags: readonly string[];
  readonly agentId: string | null;
  readonly agentState: HostSummary['agentState'];
  readonly inventory: Inventory | null;
  readonly inventoryAt: string | null;
  readonly healthChecks: readonly HealthCheck[];
  readonly activeRunId: string | null;
  readonly version: number;
}

/** Facts of the hosts named, in no particular order; unknown ones are left out. */
export async function listCandidates(tx: TenantTx, hostIds: readonly string[]): Promise<HostCandidate[]> {
  if (hostIds.length === 0) return [];
  const rows = await overview(tx)
    .select((eb) =>
      eb
        .selectFrom('host_facts')
        .select('host_facts.inventory')
        .whereRef('host_facts.host_id', '=', 'host_overview.id')
        .as('inventory'),
    )
    .where(sql<boolean>`host_overview.id = any(${[...hostIds]}::uuid[])`)
    .execute();
  return rows.map((row) => {
    const { summary, agentId, healthChecks } = view(row);
    return {
      hostId: summary.id,
      hostname: summary.hostname,
      siteName: summary.siteName,
      tags: summary.tags,
      agentId,
      agentState: summary.agentState,
      inventory: (row.inventory as Inventory | null) ?? null,
      inventoryAt: summary.lastInventoryAt,
      healthChecks,
      activeRunId: summary.activeRunId,
      version: summary.version,
    };
  });
}
