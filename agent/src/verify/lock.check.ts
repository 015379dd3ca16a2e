import type { PolicyDocument } from '#contract/trust.ts';
import type { LockView } from './agentView.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';

/** No effect while stopped, nor while the agent cannot know whether somebody has pressed the stop. */
export function checkLock(
  lock: LockView,
  run: { runId: string; nowMs: number },
  policy: PolicyDocument,
): Refusal | null {
  if (lock.tenantLocked) return refuse('locked', 'the tenant is locked');
  if (lock.lockedRunIds.includes(run.runId)) return refuse('locked', 'the run is locked');
  if (lock.seenAtMs === null) return refuse('lock_view_stale', 'nothing was heard about the lock yet');
  const ageS = (run.nowMs - lock.seenAtMs) / 1000;
  if (ageS <= policy.lockFreshnessS && ageS >= -policy.lockFreshnessS) return null;
  return refuse('lock_view_stale', `the lock was last seen ${Math.round(ageS)} s ago`);
}
