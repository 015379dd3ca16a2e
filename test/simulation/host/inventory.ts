import type { Inventory } from '#contract/inventory.ts';
import { hostHere } from './simulatedHost.ts';

const gib = 1024 ** 3;

/** Facts of the simulated host. */
export function collectInventory(): Promise<Inventory> {
  const host = hostHere();
  return Promise.resolve({
    collectedAt: new Date().toISOString(),
    hostname: host.name,
    os: {
      ...{ family: 'debian', id: 'debian', name: 'Debian GNU/Linux 12', version: '12' },
      ...{ kernel: '6.1.0', arch: 'x64' },
    },
    hardware: { vendor: null, model: null, virtual: null, cpu: null, cores: 2, memoryBytes: 2 * gib },
    disks: [{ mount: '/', fs: 'btrfs', sizeBytes: 40 * gib, freeBytes: host.disk.freeBytes }],
    addresses: ['192.0.2.10'],
    bootId: host.bootId,
    bootedAt: new Date(host.bootedAtMs).toISOString(),
    packageManager: 'apt',
    guardTier: 'btrfs',
    guardReason: 'the root is a btrfs subvolume',
    restartRequired: false,
    restartReasons: [],
    failedUnits: [],
    services: ['app.service'],
    updates: [],
    updatesError: null,
  });
}
