import { sql } from 'kysely';
import type { HostRunState } from '#contract/runs.ts';
import type { AnyTx, SystemTx, TenantTx } from '../../platform/db.ts';

/** A host run that has not ended. */
export interface LiveHostRun {
  readonly id: string;
  readonly state: HostRunState;
  readonly openCommandId: string | null;
}

function live(tx: AnyTx) {
  return tx
    .selectFrom('host_runs')
    .select(['id', sql<HostRunState>`state`.as('state'), 'open_command_id as openCommandId'])
    .where('ended_at', 'is', null)
    .orderBy('id');
}

/** Live host runs of a run. */
export function listLive(tx: TenantTx, runId: string): Promise<LiveHostRun[]> {
  return live(tx).where('run_id', '=', runId).execute();
}

/** Live host runs of each agent, in the order asked: agents that come back together share the look. */
export async function listLiveOf(
  tx: SystemTx,
  agents: readonly { readonly tenantId: string; readonly agentId: string }[],
): Promise<LiveHostRun[][]> {
  const rows = await live(tx)
    .select(['tenant_id', 'agent_id'])
    // Both, because the index begins with the tenant.
    .where('tenant_id', 'in', [...new Set(agents.map(({ tenantId }) => tenantId))])
    .where('agent_id', 'in', [...new Set(agents.map(({ agentId }) => agentId))])
    .execute();
  return agents.map(({ tenantId, agentId }) =>
    rows.filter((row) => row.tenant_id === tenantId && row.agent_id === agentId),
  );
}
