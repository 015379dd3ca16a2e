import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import type { WorldKindName } from './worldKinds.ts';

const root = path.resolve(import.meta.dirname, '../..');
const double = (name: string): string => new URL(name, import.meta.url).href;

/** What the product asks of the operating system, by who asks; everything else is the product's own code. */
const systemDoubles: readonly { readonly from: RegExp; readonly asks: string; readonly gets: string }[] = [
  { from: /^(agent|server)\//, asks: 'node:crypto', gets: double('os/crypto.ts') },
  { from: /^agent\//, asks: 'node:fs/promises', gets: double('os/disk.ts') },
  { from: /^agent\//, asks: 'node:timers/promises', gets: double('os/timersPromises.ts') },
  { from: /^agent\//, asks: 'ws', gets: double('os/network.ts') },
  // Migrations belong to the making of the world, not to its life.
  { from: /^server\/src\/(?!platform\/migrations)/, asks: 'pg', gets: double('os/pg.ts') },
];

/** Files of the agent that do nothing but touch a host: the simulated host stands there. */
const hostDoubles: Readonly<Record<string, string>> = {
  'agent/src/host/command.ts': double('host/command.ts'),
  'agent/src/facts/inventory.ts': double('host/inventory.ts'),
  'agent/providers/linux/findProvider.ts': double('host/provider.ts'),
  'agent/providers/linux/restartSignals.ts': double('host/restartSignals.ts'),
  'agent/src/log.ts': double('host/log.ts'),
};

/** A mistake put into the product's source while it is loaded. */
export interface PlantedBug {
  readonly name: string;
  /** What would happen to people. */
  readonly harm: string;
  readonly file: string;
  readonly find: string;
  readonly put: string;
  /** The kind of world in which it is looked for; any where nothing is said. */
  readonly kind?: WorldKindName;
}

const nameOf = (url: string | undefined): string =>
  url?.startsWith('file:') === true ? path.relative(root, fileURLToPath(url)) : '';

/** From here on the product is loaded into the simulated world, with the planted mistake if there is one. */
export function simulateSystem(bug: PlantedBug | null): void {
  registerHooks({
    resolve(specifier, context, next) {
      const from = nameOf(context.parentURL);
      const system = systemDoubles.find((one) => one.asks === specifier && one.from.test(from));
      if (system !== undefined) return { url: system.gets, shortCircuit: true };
      const resolved = next(specifier, context);
      const host = from.startsWith('test/') ? undefined : hostDoubles[nameOf(resolved.url)];
      return host === undefined ? resolved : { ...resolved, url: host };
    },
    load(url, context, next) {
      const loaded = next(url, context);
      if (bug === null || nameOf(url) !== bug.file) return loaded;
      const source = String(loaded.source);
      if (source.split(bug.find).length !== 2)
        throw new Error(`${bug.name}: its place in ${bug.file} is not there, or not there once`);
      return { ...loaded, source: source.replace(bug.find, () => bug.put) };
    },
  });
}
