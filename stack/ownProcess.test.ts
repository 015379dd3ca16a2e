import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { endProcess, identify, isRunning } from './ownProcess.ts';

const started: number[] = [];

function start(script: string): number {
  const child = spawn('sh', ['-c', script], { detached: true, stdio: 'ignore' });
  const pid = child.pid ?? 0;
  started.push(pid);
  return pid;
}

afterEach(() => {
  for (const pid of started.splice(0)) {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // The test ended it already.
    }
  }
});

describe('own processes', () => {
  it('recognises a process that runs and one that has ended', async () => {
    const own = identify(start('sleep 30'));
    expect(isRunning(own)).toBe(true);
    if (own !== undefined) await endProcess(own, { signal: 'SIGTERM', timeoutMs: 2_000 });
    expect(isRunning(own)).toBe(false);
  });

  it('does not take another process with the same number for its own', () => {
    const own = identify(start('sleep 30'));
    expect(isRunning({ pid: own?.pid ?? 0, startTicks: '1' })).toBe(false);
  });

  it('never signals a process that is not the one it remembers', async () => {
    const own = identify(start('sleep 30'));
    await endProcess({ pid: own?.pid ?? 0, startTicks: '1' }, { signal: 'SIGKILL', timeoutMs: 10 });
    expect(isRunning(own)).toBe(true);
  });

  it('kills what ignores the signal, children included', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'atlas-process-'));
    const childFile = path.join(folder, 'child');
    const pid = start(`trap "" TERM; sleep 31 & echo $! >${childFile}; while :; do sleep 0.05; done`);
    await vi.waitFor(() => expect(readFileSync(childFile, 'utf8')).toMatch(/\d/));
    const own = identify(pid);
    const child = identify(Number(readFileSync(childFile, 'utf8')));
    rmSync(folder, { recursive: true });
    expect([isRunning(own), isRunning(child)]).toEqual([true, true]);
    if (own !== undefined) await endProcess(own, { signal: 'SIGTERM', timeoutMs: 200, group: true });
    await vi.waitFor(() => expect([isRunning(own), isRunning(child)]).toEqual([false, false]));
  });
});
