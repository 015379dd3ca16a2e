import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimSupervision, findSupervisor, forget, readStatus, writeStatus } from './daemonState.ts';

let stateDir = '';
beforeEach(() => (stateDir = mkdtempSync(path.join(os.tmpdir(), 'atlas-daemon-'))));
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

describe('the claim of an installation', () => {
  it('is given to one process only', () => {
    expect(claimSupervision(stateDir)).toBe(true);
    expect(claimSupervision(stateDir)).toBe(false);
    expect(findSupervisor(stateDir)?.pid).toBe(process.pid);
  });

  it('passes on when its holder was killed, even if its number lives again', () => {
    mkdirSync(path.join(stateDir, 'run'));
    const dead = { pid: process.pid, startTicks: '1' };
    writeFileSync(path.join(stateDir, 'run', 'supervisor.json'), JSON.stringify(dead));
    expect(findSupervisor(stateDir)).toBeUndefined();
    expect(claimSupervision(stateDir)).toBe(true);
  });

  it('is forgotten with the status', () => {
    claimSupervision(stateDir);
    writeStatus(stateDir, { phase: 'ready', units: {}, startedAt: new Date(0).toISOString() });
    forget(stateDir);
    expect(readStatus(stateDir)).toBeUndefined();
    expect(findSupervisor(stateDir)).toBeUndefined();
  });
});
