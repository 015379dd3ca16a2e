import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/** Where one lab keeps everything, and the names it uses on the machine. */
export interface LabPaths {
  /** Eight hexadecimal digits that are this lab's part of every machine-wide name. */
  labId: string;
  rootDir: string;
  recordFile: string;
  lockFile: string;
  hostsDir: string;
  repositoryDir: string;
  mirrorFile: string;
  mirrorLogFile: string;
  bridge: string;
  natTable: string;
}

function readMachineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim();
  } catch {
    // The preflight names the remedy; a lab without a machine id never gets as far as using this one.
    return '';
  }
}

/**
 * Names derived from the state directory and the machine id: two labs never share one, and a lab whose directory was
 * deleted by hand is still found by its names.
 */
export function getLabPaths(stateDir: string): LabPaths {
  mkdirSync(stateDir, { recursive: true });
  const realStateDir = realpathSync(stateDir);
  const labId = createHash('sha256').update(`${readMachineId()}\n${realStateDir}`).digest('hex').slice(0, 8);
  const rootDir = join(realStateDir, 'lab');
  return {
    labId,
    rootDir,
    recordFile: join(rootDir, 'lab.json'),
    lockFile: join(realStateDir, 'lab.lock'),
    hostsDir: join(rootDir, 'hosts'),
    repositoryDir: join(rootDir, 'repository'),
    mirrorFile: join(rootDir, 'mirror.json'),
    mirrorLogFile: join(rootDir, 'mirror.log'),
    // An interface name has at most 15 characters; hosts append a dash and their number.
    bridge: `atl${labId}`,
    natTable: `atlas_lab_${labId}`,
  };
}

/** What the names of all cgroups of a lab start with. */
export function getCgroupPrefix(labId: string): string {
  return `atlas-lab-${labId}-`;
}

/** The cgroup of one host, in every hierarchy of the machine. The dot ends the number: host 1 is not host 10. */
export function getHostCgroup(labId: string, hostIndex: number): string {
  return `${getCgroupPrefix(labId)}${hostIndex}.host`;
}

/** The machine's end of a host's network cable. */
export function getHostLink(paths: LabPaths, hostIndex: number): string {
  return `${paths.bridge}-${hostIndex}`;
}
