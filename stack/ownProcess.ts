import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process that is ours: its number and when it started, because numbers are given out again. */
export type OwnProcess = { pid: number; startTicks: string };

type Stat = { state: string; startTicks: string };

// proc(5): the command name may hold spaces and brackets, so fields are counted from the last bracket.
function readStat(pid: number): Stat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startTicks: fields[19] ?? '' };
  } catch {
    return undefined; // gone
  }
}

/** Remembers a process that runs now; undefined when it has ended already. */
export function identify(pid: number): OwnProcess | undefined {
  const stat = readStat(pid);
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks };
}

/** True while that very process runs: not a later one with the same number, not one that is dead but not reaped. */
export function isRunning(own: OwnProcess | undefined): boolean {
  if (own === undefined) return false;
  const stat = readStat(own.pid);
  return stat !== undefined && stat.startTicks === own.startTicks && stat.state !== 'Z';
}

function send(own: OwnProcess, signal: NodeJS.Signals, group: boolean): void {
  try {
    process.kill(group ? -own.pid : own.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Ends a process of ours and waits; after the time-out it is killed. `group` ends its children too. */
export async function endProcess(
  own: OwnProcess,
  options: { signal: NodeJS.Signals; timeoutMs: number; group?: boolean },
): Promise<void> {
  if (!isRunning(own)) return;
  send(own, options.signal, false);
  const deadline = performance.now() + options.timeoutMs;
  while (isRunning(own) && performance.now() < deadline) await sleep(30);
  if (!isRunning(own)) return;
  send(own, 'SIGKILL', options.group ?? false);
  while (isRunning(own)) await sleep(30);
}
