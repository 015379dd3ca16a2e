import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRunning } from './ownProcess.ts';
import type { OwnProcess } from './ownProcess.ts';
import { Supervisor } from './supervisor.ts';
import type { Statuses } from './supervisor.ts';
import type { Service, Task, Unit } from './unit.ts';

let stateDir = '';
let supervisor: Supervisor | undefined;
let processes: Record<string, OwnProcess> = {};
let statuses: Statuses = {};
let order: string[] = [];

beforeEach(() => {
  stateDir = mkdtempSync(path.join(os.tmpdir(), 'atlas-supervisor-'));
  [processes, statuses, order] = [{}, {}, []];
});

afterEach(async () => {
  await supervisor?.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

function create(units: Unit[]): Supervisor {
  supervisor = new Supervisor({
    stateDir,
    units,
    onStatus: (now) => (statuses = structuredClone(now)),
    onProcesses: (now) => (processes = now),
  });
  return supervisor;
}

function service(name: string, script: string, more: Partial<Service> = {}): Service {
  return {
    kind: 'service',
    name,
    after: [],
    command: () => ({ file: 'sh', args: ['-c', script] }),
    isReady: () => Promise.resolve(true),
    readyTimeoutMs: 2_000,
    afterReady: () => Promise.resolve(void order.push(name)),
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 1_000,
    ...more,
  };
}

function task(name: string, after: string[], run: () => Promise<void>): Task {
  return { kind: 'task', name, after, run };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('the supervisor', () => {
  it('starts a unit only when what it needs is ready', async () => {
    const slow = service('base', 'sleep 30', {
      prepare: () => new Promise((resolve) => setTimeout(resolve, 100)),
    });
    const step = task('step', ['base'], () => Promise.resolve(void order.push('step')));
    await create([service('top', 'sleep 30', { after: ['step'] }), step, slow]).start();
    expect(order).toEqual(['base', 'step', 'top']);
    expect(Object.values(statuses).map((one) => one.state)).toEqual(['ready', 'ready', 'ready']);
  });

  it('starts a service again when it ends by itself', async () => {
    await create([service('fragile', 'sleep 30')]).start();
    const first = processes.fragile;
    process.kill(first?.pid ?? 0, 'SIGKILL');
    await until(() => statuses.fragile?.state === 'restarting');
    await until(() => statuses.fragile?.state === 'ready');
    expect(processes.fragile?.pid).not.toBe(first?.pid);
    expect(isRunning(processes.fragile)).toBe(true);
    expect(statuses.fragile?.restarts).toBe(1);
  });

  it('fails the start with the last words of the service that ended', async () => {
    const broken = service('broken', 'echo out of coffee; exit 3', { isReady: () => Promise.resolve(false) });
    await expect(create([broken]).start()).rejects.toMatchObject({
      text: [expect.stringContaining('broken'), expect.stringContaining('exit status 3')],
      detail: expect.stringContaining('out of coffee'),
    });
    expect(statuses.broken?.state).toBe('failed');
  });

  it('never begins what depends on a failed step', async () => {
    const step = task('step', [], () => Promise.reject(new Error('no')));
    await expect(create([step, service('top', 'sleep 30', { after: ['step'] })]).start()).rejects.toThrow(
      'no',
    );
    expect(order).toEqual([]);
    expect(statuses.top?.state).toBe('waiting');
  });

  it('says that a service which never answers is not ready', async () => {
    const mute = service('mute', 'sleep 30', { isReady: () => Promise.resolve(false), readyTimeoutMs: 200 });
    await expect(create([mute]).start()).rejects.toThrow('not ready after 0.2 s');
  });

  it('stops dependants before what they need, and leaves no process', async () => {
    const log = path.join(stateDir, 'order');
    writeFileSync(log, '');
    const script = (name: string): string =>
      `trap 'echo ${name} >>${log}; exit' TERM; while :; do sleep 0.02; done`;
    await create([
      service('base', script('base')),
      service('top', script('top'), { after: ['base'] }),
    ]).start();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const all = Object.values(processes);
    await supervisor?.stop();
    expect(readFileSync(log, 'utf8')).toBe('top\nbase\n');
    expect(all).toHaveLength(2);
    expect(all.some(isRunning)).toBe(false);
  });
});
