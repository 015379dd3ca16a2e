import { createHash } from 'node:crypto';
import type { AgentSummary, HostDetail, HostSummary } from '#contract/fleet.ts';
import type { Inventory, PendingUpdate } from '#contract/inventory.ts';

/** A UUID that is always the same for the same words. */
export function idOf(...words: (string | number)[]): string {
  const hex = createHash('sha256').update(words.join('/')).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const start = Date.now();
/** An instant so many minutes from the start of this process. */
export const at = (minutes: number): string => new Date(start + minutes * 60_000).toISOString();

export const tenantId = idOf('tenant');
export const sites = [
  {
    id: idOf('site', 1),
    name: 'Site nord (simulé)',
    timeZone: 'Europe/Paris',
    createdAt: at(-90_000),
    version: 1,
  },
  {
    id: idOf('site', 2),
    name: 'Annexe sud (simulée)',
    timeZone: 'Europe/Paris',
    createdAt: at(-80_000),
    version: 1,
  },
];

const kinds = ['dossier-patient', 'imagerie', 'annuaire', 'messagerie', 'supervision', 'sauvegarde'];
const packages: readonly [string, string, string, boolean, number][] = [
  ['openssl', '3.0.17-1~deb12u2', '3.0.17-1~deb12u3', true, 1_438_020],
  ['libssl3', '3.0.17-1~deb12u2', '3.0.17-1~deb12u3', true, 2_022_104],
  ['linux-image-amd64', '6.1.148-1', '6.1.158-1', true, 69_204_112],
  ['nginx', '1.22.1-9+deb12u2', '1.22.1-9+deb12u3', true, 528_416],
  ['curl', '7.88.1-10+deb12u12', '7.88.1-10+deb12u14', true, 315_680],
  ['tzdata', '2025b-0+deb12u1', '2025b-0+deb12u2', false, 305_168],
  ['base-files', '12.4+deb12u11', '12.4+deb12u12', false, 70_900],
];

export function updatesOf(index: number): PendingUpdate[] {
  if (index % 5 === 0) return [];
  return packages.slice(0, 2 + (index % 6)).map(([name, fromVersion, version, security, downloadBytes]) => ({
    name,
    arch: 'amd64',
    fromVersion,
    version,
    origin: security ? 'Debian-Security:12/stable-security' : 'Debian:12.12/stable',
    security,
    downloadBytes,
    sha256: sha(`${name} ${version}`),
  }));
}

function statusOf(index: number): HostSummary['status'] {
  if (index % 29 === 3) return 'unknown';
  if (index % 41 === 7) return 'attention';
  if (index < 7 && index > 0) return 'in_run';
  if (index % 5 === 0) return 'up_to_date';
  return index % 11 === 2 ? 'restart_required' : 'security_pending';
}

export function hostAt(index: number): HostSummary {
  const status = statusOf(index);
  const updates = updatesOf(index);
  const silent = status === 'unknown';
  const site = sites[index % 3 === 0 ? 1 : 0] ?? sites[0];
  return {
    id: idOf('host', index),
    hostname: `${kinds[index % kinds.length]}-${String(index).padStart(3, '0')}.simule.example`,
    siteId: site?.id ?? '',
    siteName: site?.name ?? '',
    tags: index % 2 === 0 ? ['debian', 'web'] : ['debian'],
    status,
    reach: index % 23 === 9 ? 'ssh' : 'agent',
    agentState: silent ? 'silent' : 'connected',
    osName: 'Debian GNU/Linux 12 (bookworm)',
    pendingUpdates: silent ? null : updates.length,
    pendingSecurity: silent ? null : updates.filter((update) => update.security).length,
    restartRequired: silent ? null : status === 'restart_required',
    guardTier: index % 17 === 4 ? 'none' : 'btrfs',
    lastInventoryAt: at(-30 - index),
    lastSeenAt: at(silent ? -900 : -0.2),
    activeRunId: status === 'in_run' ? idOf('run', 42) : null,
    version: 3,
  };
}

export const hosts: readonly HostSummary[] = Array.from({ length: 238 }, (_, index) => hostAt(index));

export function agentOf(host: HostSummary): AgentSummary {
  return {
    id: idOf('agent', host.id),
    hostId: host.id,
    hostname: host.hostname,
    state: host.agentState,
    reach: host.reach,
    version: '0.1.0',
    certificateSerial: sha(host.id).slice(0, 32),
    certificateNotAfter: at(74 * 1440),
    generation: 1,
    lastSeenAt: host.lastSeenAt,
    policyEpoch: 3,
    witnessedTreeSize: 18_204,
    enrolledAt: at(-16 * 1440),
    revokedAt: null,
  };
}

function inventoryOf(host: HostSummary, index: number): Inventory {
  return {
    collectedAt: host.lastInventoryAt ?? at(-60),
    hostname: host.hostname,
    os: {
      family: 'debian',
      id: 'debian',
      name: 'Debian GNU/Linux 12 (bookworm)',
      version: '12',
      kernel: '6.1.0-40-amd64',
      arch: 'x86_64',
    },
    hardware: {
      vendor: 'QEMU',
      model: 'Standard PC (Q35 + ICH9, 2009)',
      virtual: 'kvm',
      cpu: 'AMD EPYC 7443P 24-Core Processor',
      cores: 4,
      memoryBytes: 8_350_000_000,
    },
    disks: [
      { mount: '/', fs: 'btrfs', sizeBytes: 42_900_000_000, freeBytes: 18_600_000_000 },
      { mount: '/srv', fs: 'btrfs', sizeBytes: 214_700_000_000, freeBytes: 12_100_000_000 },
    ],
    addresses: ['10.42.0.17', 'fd42::17'],
    bootId: idOf('boot', index),
    bootedAt: at(-21 * 1440),
    packageManager: 'apt',
    guardTier: host.guardTier ?? 'none',
    guardReason: host.guardTier === 'none' ? 'la racine est sur ext4' : 'la racine est un sous-volume btrfs',
    restartRequired: host.restartRequired ?? false,
    restartReasons: host.restartRequired === true ? ['linux-image-6.1.0-41-amd64'] : [],
    failedUnits: host.status === 'attention' ? ['nginx.service'] : [],
    services: ['nginx.service', 'ssh.service'],
    updates: updatesOf(index),
    updatesError: null,
  };
}

export function hostDetail(hostId: string): HostDetail | null {
  const index = hosts.findIndex((host) => host.id === hostId);
  const host = hosts[index];
  if (host === undefined) return null;
  return {
    host,
    agent: agentOf(host),
    healthChecks: [
      { kind: 'systemd', unit: 'nginx.service' },
      { kind: 'http', url: 'http://localhost/', status: 200, contains: 'Bienvenue' },
    ],
    inventory: inventoryOf(host, index),
  };
}
