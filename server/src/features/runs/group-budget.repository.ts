import { sql } from 'kysely';
import type { HostRunState } from '#contract/runs.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { HostFacts } from './group-budget.policy.ts';

interface Row {
  readonly hostId: string;
  readonly hostname: string;
  readonly connected: boolean;
  readonly liveState: HostRunState | null;
  readonly liveRun: number | null;
  readonly lastState: HostRunState | null;
  readonly lastRun: number | null;
  readonly settled: boolean | null;
}

/** What is known now of the given hosts, in whatever run they are or were. */
export async function hostFactsOf(tx: TenantTx, hostIds: readonly string[]): Promise<HostFacts[]> {
  const { rows } = await sql<Row>`
    select h.id as "hostId", h.hostname, h.agent_state = 'connected' as connected,
      live.state as "liveState", live.number as "liveRun",
      last.state as "lastState", last.number as "lastRun", last.settled
    from host_overview h
    left join lateral (
      select x.state, r.number from host_runs x join runs r on r.id = x.run_id
      where x.tenant_id = h.tenant_id and x.host_id = h.id and x.ended_at is null and x.state <> 'planned'
      order by x.id desc limit 1
    ) live on true
    left join lateral (
      select x.state, r.number,
        x.accepted_at is not null or coalesce((x.memory->>'restoredGreen')::boolean, false) as settled
      from host_runs x join runs r on r.id = x.run_id
      where x.tenant_id = h.tenant_id and x.host_id = h.id and x.ended_at is not null and x.started_at is not null
        and x.replaced_by is null
      order by x.ended_at desc, x.id desc limit 1
    ) last on true
    where h.id = any(${[...hostIds]}::uuid[])
  `.execute(tx);
  return rows.map(({ liveState, liveRun, lastState, lastRun, settled, ...host }) => ({
    ...host,
    live: liveState === null ? null : { state: liveState, run: liveRun ?? 0 },
    last: lastState === null ? null : { state: lastState, run: lastRun ?? 0, settled: settled === true },
  }));
}

/** Notes that a person calls the host up. False when the row is another attempt's past, accepted already, or in another state. */
export async function acceptHostRun(
  tx: TenantTx,
  hostRunId: string,
  accepted: { readonly at: Date; readonly states: readonly HostRunState[] },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('host_runs')
    .set({ accepted_at: accepted.at, version: sql<number>`version + 1` })
    .where('id', '=', hostRunId)
    .where('state', 'in', [...accepted.states])
    .where('accepted_at', 'is', null)
    .where('replaced_by', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}
