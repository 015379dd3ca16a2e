import type { FleetSummary, HostSummary } from '#contract/fleet.ts';
import type { MessageKey } from '../../messages/fr.ts';
import type { Tone } from '../../ui/tones.ts';

interface Worry {
  readonly tone: Tone;
  readonly key: MessageKey;
  readonly count: number;
}

/** How many hosts have each status; a status without hosts may be absent. */
function countsOf(summary: FleetSummary): Partial<Record<HostSummary['status'], number>> {
  return summary.byStatus;
}

/** The one sentence of the first screen: the worst thing that is true now, and never "all is well" while something is unknown. */
export function worryOf(summary: FleetSummary): Worry {
  if (summary.failedHostRuns24h > 0)
    return { tone: 'failed', key: 'worry.failed', count: summary.failedHostRuns24h };
  const attention = countsOf(summary).attention ?? 0;
  if (attention > 0) return { tone: 'failed', key: 'worry.attention', count: attention };
  const unknown = countsOf(summary).unknown ?? 0;
  if (unknown > 0) return { tone: 'unknown', key: 'worry.unknown', count: unknown };
  const security = countsOf(summary).security_pending ?? 0;
  if (security > 0) return { tone: 'needs', key: 'worry.security', count: security };
  if (summary.activeRuns > 0) return { tone: 'running', key: 'worry.running', count: summary.activeRuns };
  return { tone: 'done', key: 'worry.none', count: summary.total };
}

const order: readonly HostSummary['status'][] = [
  'attention',
  'unknown',
  'security_pending',
  'restart_required',
  'updates_pending',
  'in_run',
  'up_to_date',
];

/** Counts by status, the worst first; a status that no host has is left out. */
export function statusCounts(summary: FleetSummary): { status: HostSummary['status']; count: number }[] {
  return order
    .map((status) => ({ status, count: countsOf(summary)[status] ?? 0 }))
    .filter((entry) => entry.count > 0);
}
