import { access } from 'node:fs/promises';
import type { PackageProvider } from '../../src/host/packages.port.ts';
import { AptProvider } from './apt.provider.ts';
import { DnfListing, ZypperListing } from './listing.provider.ts';

const providers: readonly [string, () => PackageProvider][] = [
  ['/usr/bin/apt-get', () => new AptProvider()],
  ['/usr/bin/dnf', () => new DnfListing()],
  ['/usr/bin/zypper', () => new ZypperListing()],
];

/** The package manager of this host; null when the agent knows none of them. */
export async function findProvider(): Promise<PackageProvider | null> {
  for (const [program, create] of providers) {
    const isThere = await access(program).then(
      () => true,
      () => false,
    );
    if (isThere) return create();
  }
  return null;
}
