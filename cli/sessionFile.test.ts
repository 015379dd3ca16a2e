import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSession, removeSession, sessionFileOf, withSessionLock, writeSession } from './sessionFile.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'atlas-session-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const server = 'https://atlas.example';
const session = { server, refreshToken: 'r', accessToken: 'a', accessExpiresAt: '2026-01-01T00:00:00Z' };

describe('the session of a terminal', () => {
  it('lives in the state directory for this installation and in the person’s own for other servers', () => {
    const env = { XDG_STATE_HOME: path.join(folder, 'own') };
    const local = sessionFileOf('http://localhost:8443', { stateDir: folder, isLocal: true, env });
    const remote = sessionFileOf(server, { stateDir: folder, isLocal: false, env });
    const other = sessionFileOf(`${server}:8443`, { stateDir: folder, isLocal: false, env });
    expect(local).toBe(path.join(folder, 'session.json'));
    expect(path.dirname(remote)).toBe(path.join(folder, 'own', 'atlas'));
    expect(other).not.toBe(remote);
  });

  it('is its owner’s alone, and nobody’s for another server', () => {
    const file = path.join(folder, 'deep', 'session.json');
    writeSession(file, session);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
    expect(readSession(file, server)).toEqual(session);
    expect(readSession(file, 'https://other.example')).toBeUndefined();
    expect([removeSession(file), removeSession(file)]).toEqual([true, false]);
  });

  it('is renewed by one command at a time, also after one that failed', async () => {
    const file = path.join(folder, 'session.json');
    const told: string[] = [];
    const renew = (name: string) =>
      withSessionLock(file, async () => {
        told.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, 20));
        told.push(`${name} ends`);
      });
    await expect(withSessionLock(file, () => Promise.reject(new Error('no network')))).rejects.toThrow(
      'no network',
    );
    await Promise.all([renew('one'), renew('two'), renew('three')]);
    const order = told.filter((line) => line.endsWith('begins')).map((line) => line.split(' ')[0]);
    expect(told).toEqual(order.flatMap((name) => [`${name} begins`, `${name} ends`]));
    expect(order).toHaveLength(3);
  });
});
