import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLabLock } from './lab-lock.ts';
import { getLabPaths } from './lab-paths.ts';
import { getProcessIdentity, isSameProcessAlive } from './process-identity.ts';

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'atlas-lab-lock-'));
});
afterEach(() => {
  rmSync(stateDir, { recursive: true, force: true });
});

describe('the lock of a lab', () => {
  it('lets one piece of work in at a time and opens again when it fails', async () => {
    const paths = getLabPaths(stateDir);
    const order: string[] = [];
    const first = withLabLock(paths, async () => {
      order.push('first in');
      await new Promise((resolve) => setTimeout(resolve, 120));
      order.push('first out');
      throw new Error('broken');
    });
    const second = withLabLock(paths, async () => Promise.resolve(order.push('second')));
    await expect(first).rejects.toThrow('broken');
    await second;
    expect(order).toEqual(['first in', 'first out', 'second']);
    expect(existsSync(paths.lockFile)).toBe(false);
  });

  it('names the process that holds it', async () => {
    const paths = getLabPaths(stateDir);
    await withLabLock(paths, async () => {
      const refused = withLabLock(paths, async () => Promise.resolve(), 60);
      await expect(refused).rejects.toMatchObject({ code: 'lab_busy', subject: `pid ${process.pid}` });
    });
  });

  it('takes over from a process that died with it, even when its number lives on', async () => {
    const paths = getLabPaths(stateDir);
    writeFileSync(paths.lockFile, JSON.stringify({ pid: process.pid, startTicks: 1 }));
    expect(await withLabLock(paths, async () => Promise.resolve('done'), 1000)).toBe('done');
  });
});

describe('a process identity', () => {
  it('is alive until the process ends', async () => {
    const child = spawn('sleep', ['30']);
    const identity = getProcessIdentity(child.pid ?? 0);
    expect(identity !== undefined && isSameProcessAlive(identity)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(identity !== undefined && isSameProcessAlive(identity)).toBe(false);
  });
});
