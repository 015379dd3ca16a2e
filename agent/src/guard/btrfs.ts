import { readFile, statfs } from 'node:fs/promises';
import { runCommand, tailOf } from '../host/command.ts';

/** A mounted file system as the kernel lists it (proc(5), mountinfo). */
export interface Mount {
  readonly point: string;
  readonly root: string;
  readonly type: string;
  readonly source: string;
  readonly options: ReadonlyMap<string, string>;
}

function parseOptions(text: string): [string, string][] {
  return text.split(',').map((pair) => {
    const [key = '', value = ''] = pair.split('=', 2);
    return [key, value];
  });
}

/** Reads mountinfo; a later mount on the same point hides the earlier one. */
export function parseMountInfo(text: string): Map<string, Mount> {
  const mounts = new Map<string, Mount>();
  for (const line of text.split('\n')) {
    const [left = '', right = ''] = line.split(' - ', 2);
    const [, , , root, point] = left.split(' ');
    const [type, source, superOptions] = right.split(' ');
    if (root === undefined || point === undefined || type === undefined || source === undefined) continue;
    const options = new Map(parseOptions(superOptions ?? ''));
    mounts.set(point, { point, root, type, source, options });
  }
  return mounts;
}

export async function readMounts(): Promise<Map<string, Mount>> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** A btrfs command that failed; the guard turns it into a refusal to go on. */
export class BtrfsError extends Error {}

async function btrfs(...args: string[]): Promise<string> {
  const done = await runCommand('btrfs', args, { timeoutMs: 300_000 });
  if (done.exitCode !== 0)
    throw new BtrfsError(`btrfs ${args.slice(0, 2).join(' ')}: ${tailOf(done.stderr, 500)}`);
  return done.stdout;
}

/** What btrfs says about one subvolume. */
export interface Subvolume {
  readonly id: number;
  readonly uuid: string;
  readonly isReadOnly: boolean;
}

/** Reads the output of `btrfs subvolume show`. */
export function parseSubvolumeShow(text: string): Subvolume | null {
  const field = (name: string) => new RegExp(`^\\s*${name}:\\s+(.*)$`, 'm').exec(text)?.[1]?.trim();
  const id = Number(field('Subvolume ID'));
  const uuid = field('UUID');
  if (uuid === undefined || !Number.isInteger(id) || id === 0) return null;
  return { id, uuid, isReadOnly: /\breadonly\b/.test(field('Flags') ?? '') };
}

export async function showSubvolume(path: string): Promise<Subvolume> {
  const subvolume = parseSubvolumeShow(await btrfs('subvolume', 'show', path));
  if (subvolume === null) throw new BtrfsError(`${path} is not a subvolume that can be read`);
  return subvolume;
}

/** Identifier of the subvolume that the next start will use as its root. */
export async function getDefaultId(mountPoint: string): Promise<number> {
  return Number(/^ID (\d+)/.exec(await btrfs('subvolume', 'get-default', mountPoint))?.[1]);
}

/** Takes a read-only snapshot and makes it durable. */
export async function takeSnapshot(source: string, destination: string): Promise<void> {
  await btrfs('subvolume', 'snapshot', '-r', source, destination);
  await btrfs('filesystem', 'sync', source);
}

export async function deleteSubvolume(path: string): Promise<void> {
  await btrfs('subvolume', 'delete', '--commit-after', path);
}

/** Deletes a subvolume that no directory of this system leads to. */
export async function deleteSubvolumeById(id: number, mountPoint: string): Promise<void> {
  await btrfs('subvolume', 'delete', '--commit-after', '--subvolid', String(id), mountPoint);
}

/** Bytes that an unprivileged writer could still use. */
export async function readFreeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
