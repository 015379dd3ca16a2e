import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { agentsName } from '../stack/server.service.ts';
import { findDistributionSources, readAptSettings } from './apt-sources.ts';
import type { MachineAptSettings } from './apt-sources.ts';
import { getBaseImage, writeFiles } from './base-image.ts';
import { requireCommand } from './command.ts';
import { createHost } from './host.ts';
import type { HostContext, LabHost } from './host.ts';
import { findSupervisor } from './host-process.ts';
import { LabError } from './lab.errors.ts';
import type { LabStep } from './lab-story.ts';
import { withLabLock } from './lab-lock.ts';
import { buildLabPackage, buildLabRepository } from './lab-packages.ts';
import { getLabPaths } from './lab-paths.ts';
import type { LabPaths } from './lab-paths.ts';
import { getHostPaths, listHostRecords, readRecord, writeRecord } from './lab-record.ts';
import type { HostRecord, LabRecord } from './lab-record.ts';
import { ensureMirror } from './mirror.ts';
import { chooseSubnetPrefix, ensureNetwork, listTakenRanges, readNameServers } from './network.ts';
import { requireLabMachine } from './preflight.ts';

/** Where a lab lives and who hears its story. */
export interface LabOptions {
  /** The installation's state directory; the lab uses `lab/` in it. */
  stateDir: string;
  /** Base image and downloaded packages, kept when the lab is reset. */
  cacheDir: string;
  log: (step: LabStep) => void;
}

/** A host to be made. */
export interface HostSpec {
  name: string;
  /** Gives it lab-portal 1.0, whose pending version 1.1 breaks its web server. */
  brokenPackagePending?: boolean;
}

/** A lab of this machine: a bridge with real Debian hosts on it. */
export interface Lab {
  /** Address by which the hosts reach services of this machine, such as the agents' listener. */
  readonly gatewayAddress: string;
  /** The hosts' subnet in CIDR form. */
  readonly subnet: string;
  /** Makes the hosts that do not exist yet, boots all that are named, and returns them in the order given. */
  create(specs: readonly (string | HostSpec)[]): Promise<LabHost[]>;
  /** Throws `unknown_host`. */
  host(name: string): LabHost;
  hosts(): LabHost[];
  /** Shuts every host down and keeps their disks. */
  stop(): Promise<void>;
}

/** Hosts of one lab: an address each in the subnet, and about 60 MB of memory each. */
const maximumHosts = 24;
/** The first host's address ends in 11; the lower ones stay free for services. */
const addressOffset = 10;
/** Two processors boot no faster with more at a time. */
const parallelBoots = 3;

function requireHostName(name: string): void {
  if (!/^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$/.test(name)) throw new LabError('bad_host_name', name);
}

/** Files that make a copy of the base this host and no other (path → content). */
function hostFiles(record: HostRecord, lab: LabRecord): Record<string, string> {
  const gateway = `${lab.subnetPrefix}.1`;
  return {
    'etc/hostname': `${record.name}\n`,
    'etc/hosts': `127.0.0.1 localhost\n127.0.1.1 ${record.name}\n::1 localhost\n${gateway} ${agentsName}\n`,
    'etc/machine-id': `${randomUUID().replaceAll('-', '')}\n`,
    'etc/resolv.conf': readNameServers()
      .map((server) => `nameserver ${server}\n`)
      .join(''),
    'etc/systemd/network/10-host0.network': `[Match]
Name=host0

[Network]
Address=${record.address}/24
Gateway=${gateway}
LinkLocalAddressing=no
`,
    'etc/apt/apt.conf.d/60lab': `Acquire::http::Proxy "http://${gateway}:${lab.mirrorPort}";
Acquire::http::Proxy::${gateway} "DIRECT";
`,
    'etc/apt/sources.list.d/lab.list': `deb [trusted=yes] http://${gateway}:${lab.mirrorPort}/lab ./\n`,
  };
}

async function makeHost(paths: LabPaths, lab: LabRecord, record: HostRecord): Promise<void> {
  const files = getHostPaths(paths, record.name);
  rmSync(files.dir, { recursive: true, force: true });
  mkdirSync(files.mountPoint, { recursive: true });
  const work = mkdtempSync(join(files.dir, 'files-'));
  writeFiles(work, hostFiles(record, lab));
  if (record.brokenPackagePending) await buildLabPackage('lab-portal', '1.0', join(work, 'root/packages'));
  const script = join(import.meta.dirname, 'provision-host.sh');
  await requireCommand('unshare', [
    ...['--mount', '--propagation=private', 'sh', script],
    ...[lab.baseImage, files.image, work],
  ]);
  rmSync(work, { recursive: true, force: true });
  // Written last: a host without this file was not wholly made and is made again.
  writeRecord(files.recordFile, record);
}

/** Runs `work` over the items, a few at a time, and keeps the order of the answers. */
async function mapInParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) results[index] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: parallelBoots }, worker));
  return results;
}

function planRecords(paths: LabPaths, lab: LabRecord, specs: readonly HostSpec[]): HostRecord[] {
  const existing = new Map(listHostRecords(paths).map((record) => [record.name, record]));
  const free = Array.from({ length: maximumHosts }, (_, position) => position + 1).filter(
    (index) => ![...existing.values()].some((record) => record.index === index),
  );
  return specs.map((spec) => {
    requireHostName(spec.name);
    const known = existing.get(spec.name);
    if (known !== undefined) return known;
    const index = free.shift();
    if (index === undefined) throw new LabError('too_many_hosts', `> ${maximumHosts}`);
    const record = {
      name: spec.name,
      index,
      address: `${lab.subnetPrefix}.${addressOffset + index}`,
      brokenPackagePending: spec.brokenPackagePending ?? false,
      createdAt: new Date().toISOString(),
    };
    existing.set(spec.name, record);
    return record;
  });
}

function bindLab(context: HostContext, lab: LabRecord): Lab {
  const { paths } = context;
  const listHosts = (): LabHost[] => listHostRecords(paths).map((record) => createHost(context, record));
  return {
    gatewayAddress: `${lab.subnetPrefix}.1`,
    subnet: `${lab.subnetPrefix}.0/24`,
    hosts: listHosts,
    host(name) {
      const found = listHosts().find((host) => host.name === name);
      if (found === undefined) throw new LabError('unknown_host', name);
      return found;
    },
    async create(names) {
      const specs = names.map((each) => (typeof each === 'string' ? { name: each } : each));
      return withLabLock(paths, async () => {
        const records = planRecords(paths, lab, specs);
        return mapInParallel(records, async (record) => {
          if (!existsSync(getHostPaths(paths, record.name).recordFile)) await makeHost(paths, lab, record);
          const host = createHost(context, record);
          await host.start();
          return host;
        });
      });
    },
    async stop() {
      const running = listHosts().filter((host) => findSupervisor(paths, host.name) !== undefined);
      await mapInParallel(running, async (host) => host.stop());
    },
  };
}

async function prepareBase(options: LabOptions, settings: MachineAptSettings): Promise<Partial<LabRecord>> {
  const startedAt = performance.now();
  const sources = await findDistributionSources();
  const onBuild = (): void => options.log({ kind: 'base_building', suite: sources.suite });
  const base = await getBaseImage({ cacheDir: options.cacheDir, sources, settings, onBuild });
  options.log({ kind: 'base_ready', seconds: (performance.now() - startedAt) / 1000, cached: base.cached });
  return { baseImage: base.image, sources };
}

async function prepareLab(paths: LabPaths, options: LabOptions): Promise<LabRecord> {
  const known = readRecord<LabRecord>(paths.recordFile);
  const settings = await readAptSettings();
  const subnetPrefix =
    known?.subnetPrefix ?? chooseSubnetPrefix(paths.labId, await listTakenRanges(paths.bridge));
  const { baseImage, sources } = (await prepareBase(options, settings)) as Pick<
    LabRecord,
    'baseImage' | 'sources'
  >;
  await ensureNetwork(paths, subnetPrefix);
  options.log({ kind: 'network_ready', bridge: paths.bridge, subnet: `${subnetPrefix}.0/24` });
  await buildLabRepository(paths.repositoryDir);
  const address = `${subnetPrefix}.1`;
  const { cacheDir } = options;
  const mirrorPort = await ensureMirror(paths, {
    address,
    port: known?.mirrorPort ?? 0,
    cacheDir,
    sources,
    settings,
  });
  const record: LabRecord = { subnetPrefix, mirrorPort, baseImage, sources };
  writeRecord(paths.recordFile, record);
  return record;
}

/**
 * Makes the lab's base, network and mirror, or finds them again. Throws a `LabError` that names the remedy when this
 * machine cannot hold a lab.
 */
export async function createLab(options: LabOptions): Promise<Lab> {
  const paths = getLabPaths(options.stateDir);
  requireLabMachine(options.stateDir);
  const record = await withLabLock(paths, async () => prepareLab(paths, options));
  return bindLab({ paths, log: options.log }, record);
}

/** The lab that exists under a state directory, without making or starting anything; undefined when there is none. */
export function openLab(options: Pick<LabOptions, 'stateDir' | 'log'>): Lab | undefined {
  const paths = getLabPaths(options.stateDir);
  const record = readRecord<LabRecord>(paths.recordFile);
  return record === undefined ? undefined : bindLab({ paths, log: options.log }, record);
}
