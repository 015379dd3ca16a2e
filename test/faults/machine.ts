import { spawnSync } from 'node:child_process';
import { accessSync, existsSync } from 'node:fs';
import path from 'node:path';
import { hasProgram } from '../../stack/prerequisites.ts';
import type { Need } from './fault.ts';

/** Runs a program of the machine and waits. Throws with what it said. */
export function must(file: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}

const works = (file: string, ...args: string[]): boolean => spawnSync(file, args).status === 0;

const memoryRoots = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'];

/** Folder in which memory limits of groups of processes can be made; undefined when there is none. */
export function findMemoryGroups(): string | undefined {
  return memoryRoots.find((root) => {
    const isOld = existsSync(path.join(root, 'memory.limit_in_bytes'));
    if (!isOld) return false;
    try {
      accessSync(root, 2);
      return true;
    } catch {
      return false;
    }
  });
}

const libraryFolders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib'];

/** Library that shows a process another time; undefined when it is not installed. */
export function findTimeLibrary(): string | undefined {
  return libraryFolders
    .map((folder) => path.join(folder, 'faketime/libfaketimeMT.so.1'))
    .find((file) => existsSync(file));
}

const needs: Readonly<Record<Need, { readonly isThere: () => boolean; readonly without: string }>> = {
  root: { isThere: () => process.getuid?.() === 0, without: 'needs root' },
  faketime: { isThere: () => findTimeLibrary() !== undefined, without: 'libfaketime is not installed' },
  fiu: { isThere: () => hasProgram('fiu-run'), without: 'libfiu is not installed' },
  memoryCgroup: {
    isThere: () => findMemoryGroups() !== undefined,
    without: 'this machine offers no memory controller of version 1',
  },
  networkNamespace: {
    isThere: () => hasProgram('nft') && works('unshare', '--net', 'true'),
    without: 'no network namespace or no nft here',
  },
  timeNamespace: {
    isThere: () => works('unshare', '--time', '--fork', '--monotonic', '1', 'true'),
    without: 'the kernel has no time namespaces',
  },
  loop: {
    isThere: () => existsSync('/dev/loop-control') && hasProgram('mkfs.ext4'),
    without: 'no loop devices here',
  },
};

/** Why a fault cannot be provoked here; null when it can. Hosts have a machine id of their own by a mount: root is always needed. */
export function missingNeed(wanted: readonly Need[]): string | null {
  const missing = (['root', ...wanted] as const).find((need) => !needs[need].isThere());
  return missing === undefined ? null : needs[missing].without;
}
