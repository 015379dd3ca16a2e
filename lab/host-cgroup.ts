import { readFile, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pollUntil } from './command.ts';
import { getProcessIdentity, killProcess } from './process-identity.ts';

const cgroupRoot = '/sys/fs/cgroup';
const emptyTimeoutMs = 20_000;

async function listDirectories(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(dir, entry.name));
  } catch {
    // Gone meanwhile, or not in this hierarchy.
    return [];
  }
}

/** Cgroups whose name starts so, in the one unified hierarchy or in each of the legacy ones. */
async function findCgroups(namePrefix: string): Promise<string[]> {
  const hierarchies = [cgroupRoot, ...(await listDirectories(cgroupRoot))];
  const groups = await Promise.all(hierarchies.map(listDirectories));
  const wanted = groups.flat().filter((dir) => dir.slice(dir.lastIndexOf('/') + 1).startsWith(namePrefix));
  return [...new Set(wanted)];
}

/** The group and all below it, the deepest first. */
async function listTree(dir: string): Promise<string[]> {
  const below = await Promise.all((await listDirectories(dir)).map(listTree));
  return [...below.flat(), dir];
}

/** Ends every process in the cgroups of that name: what is left of hosts whose records are lost. */
export async function killCgroups(namePrefix: string): Promise<void> {
  for (const dir of (await Promise.all((await findCgroups(namePrefix)).map(listTree))).flat()) {
    const members = await readFile(join(dir, 'cgroup.procs'), 'utf8').catch(() => '');
    const identities = members.split('\n').map((pid) => getProcessIdentity(Number(pid)));
    for (const identity of identities) if (identity !== undefined) killProcess(identity, 'SIGKILL');
  }
}

/** Removes the cgroups of that name once their last process has left them. */
export async function removeCgroups(namePrefix: string): Promise<void> {
  await pollUntil(async () => {
    const trees = await Promise.all((await findCgroups(namePrefix)).map(listTree));
    // A group is busy until its last process is gone; the next round tries again.
    for (const dir of trees.flat()) await rmdir(dir).catch(() => undefined);
    return (await findCgroups(namePrefix)).length === 0 ? true : undefined;
  }, emptyTimeoutMs);
}
