import type { Drainage } from '../guard/drainage.ts';
import type { Guardian } from '../guard/guardian.ts';
import type { JournalIndex } from '../journal/journal.index.ts';
import { keepAfterWindowMs } from '../runner/commandRunner.ts';

/** True while a host run has begun here, its window is open, and nothing has ended it. */
function isRunUnderWay(index: JournalIndex, nowMs: number): boolean {
  const ended = new Map<string, boolean>();
  for (const { command, keepUntil, result } of index.commands.values()) {
    const { hostRunId, releaseId, step } = command;
    if (hostRunId === null || releaseId === null || keepUntil === null) continue;
    if (Date.parse(keepUntil) - keepAfterWindowMs <= nowMs) continue;
    const isEnd = (step === 'commit' || step === 'rollback') && result?.outcome === 'succeeded';
    ended.set(hostRunId, isEnd || ended.get(hostRunId) === true);
  }
  return [...ended.values()].includes(false);
}

/** What is going on at this host that must not meet another version of the agent, in words; null when nothing is. */
export async function findWork(host: {
  readonly index: JournalIndex;
  readonly guardian: Guardian;
  readonly drainage: Drainage;
  readonly nowMs: number;
}): Promise<string | null> {
  const { index, guardian, drainage, nowMs } = host;
  if (index.open().length > 0) return 'orders are open';
  if ((await guardian.readArmed()) !== null) return 'a guard is armed';
  if ((await guardian.readFiring()) !== null) return 'a revert is under way';
  if ((await drainage.read()) !== null) return 'the work of this host is away';
  return isRunUnderWay(index, nowMs) ? 'a run is under way on this host' : null;
}
