import { readFileSync, readdirSync } from 'node:fs';

/** A process named so that a recycled pid is never taken for it: proc(5) field 22, ticks since the machine's boot. */
export interface ProcessIdentity {
  pid: number;
  startTicks: number;
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process is gone: absence is the answer.
    return undefined;
  }
}

/** Fields of /proc/PID/stat after the command name, which may itself hold spaces and brackets. */
function readStatFields(pid: number): string[] | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** The identity of a living process, or undefined when there is none (a zombie counts as dead). */
export function getProcessIdentity(pid: number): ProcessIdentity | undefined {
  const fields = readStatFields(pid);
  if (fields === undefined || fields[0] === 'Z') return undefined;
  return { pid, startTicks: Number(fields[19]) };
}

/** Whether that very process still lives. */
export function isSameProcessAlive(identity: ProcessIdentity): boolean {
  return getProcessIdentity(identity.pid)?.startTicks === identity.startTicks;
}

/** Ends exactly that process; nothing happens when it is gone already. */
export function killProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isSameProcessAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function listPids(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

function listChildren(parentPid: number): number[] {
  return listPids().filter((pid) => readStatFields(pid)?.[1] === String(parentPid));
}

/** Living processes whose command line holds every one of these texts. */
export function findProcesses(...texts: string[]): ProcessIdentity[] {
  return listPids()
    .filter((pid) => {
      const commandLine = readProc(`/proc/${pid}/cmdline`) ?? '';
      return texts.every((text) => commandLine.includes(text));
    })
    .map(getProcessIdentity)
    .filter((identity) => identity !== undefined);
}

/**
 * The systemd of a host, as the machine sees it: below the supervisor, the process that is pid 1 of the innermost
 * pid namespace. Undefined while the host is between two boots.
 */
export function findLeader(supervisorPid: number): number | undefined {
  const queue = listChildren(supervisorPid);
  for (let pid = queue.shift(); pid !== undefined; pid = queue.shift()) {
    const status = readProc(`/proc/${pid}/status`) ?? '';
    const namespacePids = /^NSpid:\s*(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
    // One level is the machine, one the supervisor's, one the host's: pid 1 of the supervisor's is no leader.
    const name = /^Name:\s*(.*)$/m.exec(status)?.[1];
    if (name === 'systemd' && namespacePids.at(-1) === '1') return pid;
    queue.push(...listChildren(pid));
  }
  return undefined;
}
