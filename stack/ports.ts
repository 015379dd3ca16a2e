import { createServer } from 'node:net';
import path from 'node:path';
import { createInstallationTag } from './directories.ts';
import { readJson, writeJson } from './files.ts';

export const portNames = [
  'people',
  'agents',
  'enrol',
  'postgres',
  'redis',
  'keycloak',
  'keycloakHealth',
] as const;
export type PortName = (typeof portNames)[number];
export type Ports = Record<PortName, number>;

// Below the range that Linux hands out to outgoing connections (32768 and up), so that a kept port stays free.
const firstPort = 20_000;
const portCount = 12_000;

/** True when nothing listens there, on any address. */
export async function isPortFree(port: number): Promise<boolean> {
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    if (!(await canListen(port, host))) return false;
  }
  return true;
}

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A free port; the search starts at a place of its own for each installation, so that neighbours rarely meet. */
export async function findFreePort(seed: number, taken: ReadonlySet<number>): Promise<number> {
  for (let step = 0; step < portCount; step += 1) {
    const port = firstPort + ((seed + step) % portCount);
    if (!taken.has(port) && (await isPortFree(port))) return port;
  }
  throw new Error(`no free port between ${firstPort} and ${firstPort + portCount}`);
}

/** The ports of this installation, chosen once and kept in ports.json: addresses and passkeys depend on them. */
export async function keepPorts(stateDir: string): Promise<Ports> {
  const file = path.join(stateDir, 'ports.json');
  const kept = readJson<Partial<Ports>>(file) ?? {};
  const seed = (Number.parseInt(createInstallationTag(stateDir), 16) * 8) % portCount;
  const taken = new Set(Object.values(kept));
  const ports: Partial<Ports> = { ...kept };
  for (const name of portNames) {
    const port = ports[name] ?? (await findFreePort(seed, taken));
    ports[name] = port;
    taken.add(port);
  }
  writeJson(file, ports);
  return ports as Ports;
}
