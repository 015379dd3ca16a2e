import { sql } from 'kysely';
import type { TenantTx } from '../../platform/db.ts';
import type { WorkCounts } from './fleet.deps.ts';

/** Numbers of the first screen: what waits for this person's signature, what is moving, what failed since yesterday. */
export async function countWork(tx: TenantTx, personId: string): Promise<WorkCounts> {
  const { rows } = await sql<{ releases_to_sign: number; active_runs: number; failed_host_runs: number }>`
    select
      (select count(*) from releases r
        where r.state = 'awaiting_signatures' and r.not_after > now() and r.requester_id <> ${personId}
          and not exists (
            select 1 from release_signatures s where s.release_id = r.id and s.person_id = ${personId})) as releases_to_sign,
      (select count(*) from runs where state in ('running', 'paused', 'stopping')) as active_runs,
      (select count(*) from host_runs
        where ended_at > now() - interval '24 hours' and replaced_by is null
          and state in ('failed', 'rolled_back', 'rollback_failed', 'agent_lost', 'missed')) as failed_host_runs
  `.execute(tx);
  const [counts] = rows;
  return {
    releasesToSign: counts?.releases_to_sign ?? 0,
    activeRuns: counts?.active_runs ?? 0,
    failedHostRuns24h: counts?.failed_host_runs ?? 0,
  };
}
