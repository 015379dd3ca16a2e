import { sql } from 'kysely';
import type { SystemTx } from '../../platform/db.ts';

export interface Due {
  readonly tenantId: string;
  readonly id: string;
}

/** Runs and host runs for which time has come, or that have a result nobody took into account. */
export async function listDue(
  tx: SystemTx,
  nowMs: number,
): Promise<{ readonly runs: Due[]; readonly hostRuns: Due[] }> {
  const now = new Date(nowMs);
  const runs = await tx
    .selectFrom('runs')
    .select(['id', 'tenant_id as tenantId'])
    .where('deadline_at', '<=', now)
    .orderBy('deadline_at')
    .limit(100)
    .execute();
  const hostRuns = await tx
    .selectFrom('host_runs')
    .select(['id', 'tenant_id as tenantId'])
    .where('deadline_at', '<=', now)
    .orderBy('deadline_at')
    .limit(500)
    .execute();
  return { runs, hostRuns };
}

/**
 * Live runs in which no host is on its way: whoever should have ended them, or begun their next hosts, died in between,
 * and the reminder was lost with Redis.
 */
export async function listStalled(tx: SystemTx): Promise<Due[]> {
  const { rows } = await sql<Due>`
    select r.id, r.tenant_id as "tenantId"
    from runs r
    where r.ended_at is null and r.state in ('running', 'stopping', 'paused')
      and not exists (
        select 1 from host_runs h
        where h.tenant_id = r.tenant_id and h.run_id = r.id and h.ended_at is null
          and (h.state <> 'planned' or r.state = 'paused'))
    limit 100
  `.execute(tx);
  return rows;
}

/** Host runs with a result that is durable but was not taken into account: the process died in between. */
export async function listForgotten(tx: SystemTx): Promise<Due[]> {
  const { rows } = await sql<Due>`
    select distinct h.id, h.tenant_id as "tenantId"
    from command_results r
    join host_runs h on h.id = r.host_run_id and h.agent_id = r.agent_id
    where r.host_run_id is not null and r.seq > h.results_applied and r.received_at > now() - interval '30 days'
    limit 500
  `.execute(tx);
  return rows;
}

/** Notes when agents were last heard, without an edit of the host runs. Returns those that were given up for lost. */
export async function noteHeard(
  tx: SystemTx,
  heard: readonly { readonly tenantId: string; readonly agentId: string; readonly atMs: number }[],
): Promise<Due[]> {
  const json = JSON.stringify(
    heard.map(({ tenantId, agentId, atMs }) => ({
      tenant_id: tenantId,
      agent_id: agentId,
      at: new Date(atMs).toISOString(),
    })),
  );
  const { rows } = await sql<Due & { state: string }>`
    update host_runs h set last_heard_at = greatest(h.last_heard_at, x.at)
    from jsonb_to_recordset(${json}::jsonb) x (tenant_id uuid, agent_id uuid, at timestamptz)
    where h.tenant_id = x.tenant_id and h.agent_id = x.agent_id and h.ended_at is null
    returning h.id, h.tenant_id as "tenantId", h.state
  `.execute(tx);
  return rows.filter(({ state }) => state === 'agent_lost');
}
