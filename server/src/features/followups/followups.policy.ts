import { postponeDays } from '#contract/followups.ts';
import type { MaintenanceWindow } from '#contract/windows.ts';

const dayMs = 86_400_000;

interface Terms {
  readonly state: string;
  readonly notBefore: Date;
  readonly windowId: string | null;
}

/** Last instant at which a run may be postponed; null when it may not be: it has begun or ended, or has no window. */
export function postponableUntilMs({ state, notBefore, windowId }: Terms): number | null {
  return state === 'scheduled' && windowId !== null ? notBefore.getTime() - postponeDays * dayMs : null;
}

/** What becomes of hosts that a run missed. A window that is gone, or a time that was named, leaves it to a person. */
export function missedTerms(window: Pick<MaintenanceWindow, 'missedRun'> | null): {
  readonly policy: 'ask' | 'next_occurrence' | 'skip';
  readonly state: 'asks' | 'pending' | 'skipped';
} {
  const policy = window?.missedRun ?? 'ask';
  const states = { ask: 'asks', next_occurrence: 'pending', skip: 'skipped' } as const;
  return { policy, state: states[policy] };
}
