import { readFile } from 'node:fs/promises';
import { hostname, networkInterfaces, release } from 'node:os';
import { arch } from 'node:process';
import { get } from 'systeminformation';
import type { Systeminformation } from 'systeminformation';
import type { Inventory } from '#contract/inventory.ts';
import type { GuardTier } from '../guard/guardTier.ts';
import { readBootedAt, readBootId } from '../host/boot.ts';
import { runCommand } from '../host/command.ts';
import type { PackageProvider } from '../host/packages.port.ts';
import type { RestartSignals } from '../../providers/linux/restartSignals.ts';

/** File systems that hold data of this host; the rest of the mount table is the kernel's own furniture. */
const realFileSystems = new Set(['btrfs', 'ext2', 'ext3', 'ext4', 'xfs', 'vfat', 'zfs', 'f2fs', 'jfs']);

/** What systeminformation is asked for, and nothing else: no word of anybody's ever becomes an argument of it. */
const machineFacts = {
  system: 'manufacturer, model',
  cpu: 'manufacturer, brand, cores',
  mem: 'total',
  fsSize: 'mount, type, size, available',
};
interface MachineFacts {
  readonly system: Systeminformation.SystemData;
  readonly cpu: Systeminformation.CpuData;
  readonly mem: Systeminformation.MemData;
  readonly fsSize: readonly Systeminformation.FsSizeData[];
}

/** Reads `key=value` of os-release(5), quotes taken off. */
export function parseOsRelease(text: string): Map<string, string> {
  return new Map(
    text.split('\n').flatMap((line): [string, string][] => {
      const match = /^([A-Z0-9_]+)=(.*)$/.exec(line.trim());
      return match ? [[match[1] ?? '', (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2')]] : [];
    }),
  );
}

/** Family of a distribution, from its own name and the ones it says to be like. */
export function familyOf(osRelease: ReadonlyMap<string, string>): Inventory['os']['family'] {
  const names = `${osRelease.get('ID') ?? ''} ${osRelease.get('ID_LIKE') ?? ''}`.split(/\s+/);
  if (names.some((name) => name === 'debian' || name === 'ubuntu')) return 'debian';
  if (names.some((name) => ['rhel', 'fedora', 'centos'].includes(name))) return 'rhel';
  if (names.some((name) => name === 'suse' || name.startsWith('opensuse') || name === 'sles')) return 'suse';
  return 'other';
}

/** A line that fits the contract: no control characters, not empty, not too long. */
function asLine(text: string | undefined, maxLength = 200): string | null {
  const clean = (text ?? '')
    .replace(/[^\P{C}]|[\u200e\u200f]/gu, ' ')
    .trim()
    .slice(0, maxLength);
  return clean === '' ? null : clean;
}

async function readText(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}

async function readOs(): Promise<Inventory['os']> {
  const osRelease = parseOsRelease((await readText('/etc/os-release')) ?? '');
  const id = asLine(osRelease.get('ID'), 64) ?? 'unknown';
  const debian = id === 'debian' ? await readText('/etc/debian_version') : undefined;
  return {
    family: familyOf(osRelease),
    id,
    name: asLine(osRelease.get('PRETTY_NAME')) ?? id,
    version: asLine(debian, 64) ?? asLine(osRelease.get('VERSION_ID'), 64) ?? 'unknown',
    kernel: asLine(release(), 128) ?? 'unknown',
    arch,
  };
}

async function readHardware({ system, cpu, mem }: MachineFacts): Promise<Inventory['hardware']> {
  const virtual = (await runCommand('systemd-detect-virt', [], { timeoutMs: 10_000 })).stdout.trim();
  return {
    vendor: asLine(system.manufacturer),
    // The library's name for "no board is to be seen from in here", whatever the container is.
    model: system.model === 'Docker Container' ? null : asLine(system.model),
    virtual: virtual === 'none' ? null : asLine(virtual, 64),
    cpu: asLine(`${cpu.manufacturer} ${cpu.brand}`),
    cores: cpu.cores,
    memoryBytes: mem.total,
  };
}

function toDisks(sizes: MachineFacts['fsSize']): Inventory['disks'] {
  return sizes.flatMap(({ mount, type, size, available }) => {
    const point = asLine(mount, 300);
    if (!realFileSystems.has(type) || point === null || point.startsWith('/run/')) return [];
    return [{ mount: point, fs: type, sizeBytes: size, freeBytes: available }];
  });
}

function readAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all
    .filter((one) => !one.internal)
    .map((one) => one.address)
    .slice(0, 100);
}

async function listUnits(...filter: string[]): Promise<string[]> {
  const args = ['list-units', '--plain', '--no-legend', '--no-pager', ...filter];
  const { stdout } = await runCommand('systemctl', args, { timeoutMs: 30_000 });
  return stdout.split('\n').flatMap((line) => asLine(line.split(' ')[0]) ?? []);
}

export interface InventorySources {
  readonly provider: PackageProvider | null;
  readonly surveyGuard: () => Promise<GuardTier>;
  readonly readRestartSignals: () => Promise<RestartSignals>;
  readonly signal: AbortSignal;
}

async function readUpdates({
  provider,
  signal,
}: InventorySources): Promise<Pick<Inventory, 'updates' | 'updatesError'>> {
  if (provider === null) return { updates: [], updatesError: 'no package manager that this agent knows' };
  const refreshFault = await provider.refresh(signal);
  const { updates, fault } = await provider.listPending(signal);
  const error = refreshFault ?? fault;
  return {
    updates: updates.slice(0, 5000),
    updatesError: error === null ? null : asLine(`${error.code}: ${error.detail}`, 500),
  };
}

/** Reads everything the contract asks for, from fixed places and fixed commands only. */
export async function collectInventory(sources: InventorySources): Promise<Inventory> {
  const [guard, restart, updates] = [
    await sources.surveyGuard(),
    await sources.readRestartSignals(),
    await readUpdates(sources),
  ];
  const machine = (await get(machineFacts)) as MachineFacts;
  return {
    collectedAt: new Date().toISOString(),
    hostname: asLine(hostname().toLowerCase(), 253) ?? 'unknown',
    os: await readOs(),
    hardware: await readHardware(machine),
    disks: toDisks(machine.fsSize).slice(0, 100),
    addresses: readAddresses(),
    bootId: await readBootId(),
    bootedAt: await readBootedAt(),
    packageManager: sources.provider?.name ?? null,
    guardTier: guard.tier,
    guardReason: asLine(guard.reason, 300) ?? 'unknown',
    restartRequired: restart.isRequired,
    restartReasons: restart.reasons.flatMap((reason) => asLine(reason) ?? []),
    failedUnits: (await listUnits('--state=failed')).slice(0, 200),
    services: (await listUnits('--type=service', '--state=running')).slice(0, 1000),
    ...updates,
  };
}
