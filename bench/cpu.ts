import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks a second of /proc: 100 on every Linux that Node runs on (sysconf _SC_CLK_TCK). */
const usPerTick = 10_000;

interface ProcessTimes {
  readonly pid: number;
  readonly parent: number;
  /** Own time and that of children that have ended, in microseconds of processor time. */
  readonly us: number;
}

function readTimes(pid: number): ProcessTimes | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name is in parentheses and may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
    return { pid, parent: Number(fields[1]), us: ticks * usPerTick };
  } catch {
    return null;
  }
}

/** Processor time of a process and everything below it, microseconds. */
export function treeCpuUs(root: number): number {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readTimes(Number(name)))
    .filter((times) => times !== null);
  const members = new Set([root]);
  for (let grown = true; grown;) {
    const before = members.size;
    for (const { pid, parent } of all) if (members.has(parent)) members.add(pid);
    grown = members.size > before;
  }
  return all.filter(({ pid }) => members.has(pid)).reduce((sum, { us }) => sum + us, 0);
}
