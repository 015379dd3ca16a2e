import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findFreePort, isPortFree, keepPorts, portNames } from './ports.ts';

let stateDir = '';
beforeEach(() => (stateDir = mkdtempSync(path.join(os.tmpdir(), 'atlas-ports-'))));
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

describe('ports', () => {
  it('are all different, below the range of outgoing connections, and stay the same', async () => {
    const ports = await keepPorts(stateDir);
    const numbers = Object.values(ports);
    expect(new Set(numbers).size).toBe(portNames.length);
    expect(numbers.every((port) => port >= 20_000 && port < 32_768)).toBe(true);
    expect(await keepPorts(stateDir)).toEqual(ports);
  });

  it('are never the ones of a program that listens, on whatever address', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const port = (server.address() as AddressInfo).port;
    expect(await isPortFree(port)).toBe(false);
    await new Promise((resolve) => server.close(resolve));
    expect(await isPortFree(port)).toBe(true);
  });

  it('are found past those that are taken', async () => {
    const first = await findFreePort(5, new Set());
    const second = await findFreePort(5, new Set([first]));
    expect(second).toBeGreaterThan(first);
  });
});
