import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from './lab.errors.ts';

/** A program the lab runs, and the distribution's package that brings it. */
export interface LabTool {
  program: string;
  debianPackage: string;
}

/** Everything the lab runs on the machine itself. */
export const labTools: readonly LabTool[] = [
  { program: 'mmdebstrap', debianPackage: 'mmdebstrap' },
  { program: 'systemd-nspawn', debianPackage: 'systemd-container' },
  { program: 'mkfs.btrfs', debianPackage: 'btrfs-progs' },
  { program: 'nft', debianPackage: 'nftables' },
  { program: 'ip', debianPackage: 'iproute2' },
  { program: 'losetup', debianPackage: 'mount' },
  { program: 'nsenter', debianPackage: 'util-linux' },
  { program: 'dpkg-deb', debianPackage: 'dpkg' },
];

/** Debian's public keys, which the base is verified against. */
export const debianKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

const searchPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
/** Disk for the base image, one host and the updates of the day, in bytes. */
const neededBytes = 3 * 1024 ** 3;

function isInstalled(program: string): boolean {
  return searchPath.some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      // Not in this directory.
      return false;
    }
  });
}

/** Packages to install before a lab can be made; empty when nothing is missing. */
export function listMissingLabPackages(): string[] {
  const missing = labTools.filter((tool) => !isInstalled(tool.program)).map((tool) => tool.debianPackage);
  if (!existsSync(debianKeyring)) missing.push('debian-archive-keyring');
  return [...new Set(missing)];
}

function isEmptyFile(path: string): boolean {
  return !existsSync(path) || readFileSync(path, 'utf8').trim() === '';
}

/** Every reason why a lab cannot be made here; empty when it can. Changes nothing. */
export function listLabObstacles(stateDir: string): LabError[] {
  const obstacles: LabError[] = [];
  if (process.getuid?.() !== 0) obstacles.push(new LabError('not_root', String(process.getuid?.())));
  const missing = listMissingLabPackages();
  if (missing.length > 0) obstacles.push(new LabError('missing_tools', missing.join(' ')));
  if (!/\bbtrfs\b/.test(readFileSync('/proc/filesystems', 'utf8')) && !existsSync('/sbin/modprobe')) {
    obstacles.push(new LabError('no_btrfs', '/proc/filesystems'));
  }
  if (!existsSync('/dev/loop-control')) obstacles.push(new LabError('no_loop_devices', '/dev/loop-control'));
  if (isEmptyFile('/etc/machine-id')) obstacles.push(new LabError('no_machine_id', '/etc/machine-id'));
  const space = statfsSync(stateDir);
  const freeBytes = space.bavail * space.bsize;
  if (freeBytes < neededBytes) {
    obstacles.push(
      new LabError('no_space', `${Math.round(freeBytes / 1024 ** 2)} MiB < 3072 MiB (${stateDir})`),
    );
  }
  return obstacles;
}

/** Throws the first obstacle, so that nothing is half made on a machine that cannot hold a lab. */
export function requireLabMachine(stateDir: string): void {
  const [first] = listLabObstacles(stateDir);
  if (first !== undefined) throw first;
}
