import { sql } from 'kysely';
import { orderSteps, type OrderStep } from '#contract/trust.ts';
import type { TenantTx } from '../../platform/db.ts';
import { orderLimitMs } from './host-run.clocks.ts';

/** What a committed host run took, seconds for each of its steps, tries and waiting included. */
interface PastRun {
  readonly hostRunId: string;
  readonly hostId: string;
  /** Operating system and guard of the host as it is now; null when it was never read. */
  readonly hostClass: string | null;
  readonly seconds: Readonly<Partial<Record<OrderStep, number>>>;
}

/** The newest runs that count: of each host, of all of the fleet, and together of the hosts that were asked for. */
const remembered = { host: 20, fleet: 200, together: 5000 } as const;

/** What former runs say, and what is allowed for where they say nothing. */
export interface RunHistory {
  readonly runs: readonly PastRun[];
  /** Classes of the hosts that were asked for, by their id. */
  readonly classes: ReadonlyMap<string, string>;
  /** The longest that each step may take, seconds. */
  readonly limits: Readonly<Record<OrderStep, number>>;
}

/** Hosts that are alike: their runs say something about each other. */
function hostClassOf(osName: string, guardTier: string): string {
  return `${osName} · ${guardTier}`;
}

const limits = Object.fromEntries(
  orderSteps.map((step) => [step, orderLimitMs(step) / 1000]),
) as RunHistory['limits'];

interface Row {
  readonly host_run_id: string;
  readonly host_id: string;
  readonly os_name: string | null;
  readonly guard_tier: string | null;
  readonly seconds: PastRun['seconds'];
}

/** The newest committed runs of these hosts and of the tenant, newest first, and the classes of these hosts. */
export async function runHistory(tx: TenantTx, hostIds: readonly string[]): Promise<RunHistory> {
  const facts = await sql<{
    readonly host_id: string;
    readonly os_name: string;
    readonly guard_tier: string;
  }>`
    select host_id, os_name, guard_tier from host_facts where host_id = any(${[...hostIds]}::uuid[])
  `.execute(tx);
  const classes = new Map(
    facts.rows.map((row) => [row.host_id, hostClassOf(row.os_name, row.guard_tier)] as const),
  );
  return { runs: await pastRuns(tx, hostIds), classes, limits };
}

async function pastRuns(tx: TenantTx, hostIds: readonly string[]): Promise<PastRun[]> {
  const ofHost = Math.min(remembered.host, Math.floor(remembered.together / Math.max(1, hostIds.length)));
  const { rows } = await sql<Row>`
    with chosen as (
      select own.id, own.host_id from unnest(${[...hostIds]}::uuid[]) asked (host_id)
      cross join lateral (
        select id, host_id from host_runs
        where host_id = asked.host_id and state = 'committed' order by id desc limit ${ofHost}) own
      union
      (select id, host_id from host_runs where state = 'committed' order by id desc limit ${remembered.fleet})
    ), taken as (
      select chosen.id, chosen.host_id, of_step.step, of_step.seconds
      from chosen cross join lateral (
        select c.step, extract(epoch from max(r.received_at) - min(c.created_at))::float8 as seconds
        from commands c join command_results r on r.host_run_id = chosen.id and r.command_id = c.id
        where c.host_run_id = chosen.id group by c.step) of_step
    )
    select taken.id as host_run_id, taken.host_id, f.os_name, f.guard_tier,
      jsonb_object_agg(taken.step, taken.seconds) as seconds
    from taken left join host_facts f on f.host_id = taken.host_id
    group by taken.id, taken.host_id, f.os_name, f.guard_tier
    order by taken.id desc
  `.execute(tx);
  return rows.map((row) => ({
    hostRunId: row.host_run_id,
    hostId: row.host_id,
    hostClass:
      row.os_name === null || row.guard_tier === null ? null : hostClassOf(row.os_name, row.guard_tier),
    seconds: row.seconds,
  }));
}
