import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export type LockEntry = {
  version?: string;
  integrity?: string;
  resolved?: string;
  optional?: boolean;
  dev?: boolean;
  os?: string[];
  cpu?: string[];
  optionalDependencies?: Record<string, string>;
};
export type Lockfile = { packages: Record<string, LockEntry> };

const systems = ['android', 'darwin', 'freebsd', 'openharmony', 'win32', 'linux'];
const processors = ['arm64', 'x64', 'arm', 'ppc64', 'riscv64', 's390x', 'ia32', 'wasm32'];

/** True when Node would find that package from there, walking up as it does. */
function resolves(lock: Lockfile, from: string, name: string): boolean {
  for (let folder = from; ;) {
    const prefix = folder === '' ? '' : `${folder}/`;
    if (lock.packages[`${prefix}node_modules/${name}`] !== undefined) return true;
    if (folder === '') return false;
    folder = folder.includes('/node_modules/') ? folder.slice(0, folder.lastIndexOf('/node_modules/')) : '';
  }
}

/** Optional packages that the lockfile names and does not list; `npm ci` refuses such a file. */
export function listUnlisted(lock: Lockfile): { name: string; version: string; dev: boolean }[] {
  return Object.entries(lock.packages).flatMap(([from, entry]) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => !resolves(lock, from, name))
      .map(([name, version]) => ({ name, version, dev: entry.dev === true })),
  );
}

/**
 * Lists the binaries of other systems that a mirror of the registry may not hold: `npm install` leaves them out there,
 * and `npm ci` then refuses the lockfile everywhere. They are never installed on Linux, so they carry no integrity.
 */
export function completeLockfile(root: string): string[] {
  const file = path.join(root, 'package-lock.json');
  const lock = JSON.parse(readFileSync(file, 'utf8')) as Lockfile;
  const added = listUnlisted(lock);
  for (const { name, version, dev } of added) {
    const system = systems.find((one) => name.includes(one));
    const processor = processors.find((one) => name.includes(one));
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(processor === undefined ? {} : { cpu: [processor] }),
      ...(dev ? { dev } : {}),
      optional: true,
      ...(system === undefined ? {} : { os: [system] }),
    };
  }
  if (added.length === 0) return [];
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  return added.map(({ name }) => name);
}
