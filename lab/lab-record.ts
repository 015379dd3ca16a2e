import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { LabPaths } from './lab-paths.ts';
import type { ProcessIdentity } from './process-identity.ts';

/** What a lab remembers between commands. */
export interface LabRecord {
  /** First three numbers of the subnet, such as `10.104.7`. */
  subnetPrefix: string;
  mirrorPort: number;
  baseImage: string;
  sources: DistributionSources;
}

/** The distribution's repositories: release for the base, security and updates for what is pending afterwards. */
export interface DistributionSources {
  suite: string;
  releaseUri: string;
  securityUri: string;
}

/** What a lab host is, apart from whether it runs. */
export interface HostRecord {
  name: string;
  /** Its number in the lab, from 1; address and link name come from it. */
  index: number;
  address: string;
  brokenPackagePending: boolean;
  createdAt: string;
}

/** The state of a host's cable; it outlives reboots and restarts of the host. */
export interface NetworkCondition {
  cut: boolean;
  slow: { rateKbit: number; lossPercent: number } | null;
}

/** Files of one host. */
export interface HostPaths {
  dir: string;
  recordFile: string;
  networkFile: string;
  supervisorFile: string;
  bootsFile: string;
  consoleFile: string;
  image: string;
  mountPoint: string;
}

/** Where one host keeps its disk, its console log and what is known of it. */
export function getHostPaths(paths: LabPaths, name: string): HostPaths {
  const dir = join(paths.hostsDir, name);
  return {
    dir,
    recordFile: join(dir, 'host.json'),
    networkFile: join(dir, 'network.json'),
    supervisorFile: join(dir, 'supervisor.json'),
    bootsFile: join(dir, 'boots'),
    consoleFile: join(dir, 'console.log'),
    image: join(dir, 'disk.img'),
    mountPoint: join(dir, 'root'),
  };
}

/** Reads a JSON file that may not exist; the shape is ours, written by `writeRecord`. */
export function readRecord<Shape>(file: string): Shape | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Shape;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`unreadable lab record ${file}`, { cause: error });
  }
}

/** Replaces a JSON file in one step, so that a reader never sees half of it. */
export function writeRecord(file: string, value: unknown): void {
  mkdirSync(dirname(file), { recursive: true });
  const part = `${file}.${process.pid}.part`;
  writeFileSync(part, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(part, file);
}

/** Every host of the lab that was wholly made, by number. */
export function listHostRecords(paths: LabPaths): HostRecord[] {
  let names: string[];
  try {
    names = readdirSync(paths.hostsDir);
  } catch {
    // No directory yet: no hosts yet.
    return [];
  }
  return names
    .map((name) => readRecord<HostRecord>(getHostPaths(paths, name).recordFile))
    .filter((record) => record !== undefined)
    .sort((left, right) => left.index - right.index);
}

/** The supervisor that a record names, alive or not. */
export function readSupervisor(paths: LabPaths, name: string): ProcessIdentity | undefined {
  return readRecord<ProcessIdentity>(getHostPaths(paths, name).supervisorFile);
}
