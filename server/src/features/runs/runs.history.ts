import { sql } from 'kysely';
import type { TenantTx } from '../../platform/db.ts';

/** How long a host run took before, seconds: the range in which four of five fell. */
export interface PastDuration {
  readonly low: number;
  readonly high: number;
  readonly basis: 'host_history' | 'fleet_history';
}

/** Runs that count: the newest of a host, or of the fleet when the host has none. */
const remembered = { host: 5, fleet: 50 } as const;

interface Range {
  readonly host_id: string | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** What to expect of each host, from committed runs; a host is absent when neither it nor the fleet has any. */
export async function expectedSeconds(
  tx: TenantTx,
  hostIds: readonly string[],
): Promise<Map<string, PastDuration>> {
  const { rows } = await sql<Range>`
    with ended as (
      select host_id, extract(epoch from ended_at - started_at) as seconds,
        row_number() over (partition by host_id order by id desc) as of_host,
        row_number() over (order by id desc) as of_fleet
      from host_runs where state = 'committed' and started_at is not null and ended_at is not null
    )
    select host_id, percentile_cont(0.1) within group (order by seconds) as low,
      percentile_cont(0.9) within group (order by seconds) as high
    from ended where of_host <= ${remembered.host} and host_id = any(${[...hostIds]}::uuid[]) group by host_id
    union all
    select null, percentile_cont(0.1) within group (order by seconds), percentile_cont(0.9) within group (order by seconds)
    from ended where of_fleet <= ${remembered.fleet}
  `.execute(tx);
  const own = new Map(rows.flatMap((row) => (row.host_id === null ? [] : [[row.host_id, row] as const])));
  const fleet = rows.find((row) => row.host_id === null);
  const expected = new Map<string, PastDuration>();
  for (const hostId of hostIds) {
    const range = own.get(hostId) ?? fleet;
    if (range?.low == null || range.high == null) continue;
    const basis = own.has(hostId) ? 'host_history' : 'fleet_history';
    expected.set(hostId, { low: Math.floor(range.low), high: Math.ceil(range.high), basis });
  }
  return expected;
}
