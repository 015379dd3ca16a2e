import { Ticker } from '../../platform/ticker.ts';
import type { FollowUpsDeps } from './followups.deps.ts';
import { listPending } from './followups.repository.ts';
import type { FollowUpsService } from './followups.service.ts';

const everyMs = 5_000;

/** Plans missed runs again where their window says so; a process that dies leaves them to the next turn. */
export function followUpsJobs(deps: FollowUpsDeps, service: FollowUpsService): Ticker {
  const tick = async (): Promise<void> => {
    const pending = await deps.db.inSystem('followups.pending', listPending);
    for (const { tenantId, runId } of pending) await service.planNext(tenantId, runId);
  };
  return new Ticker(deps, {
    everyMs,
    tick,
    complaint: 'missed runs were not planned again; tried again soon',
  });
}
