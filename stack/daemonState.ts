import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readJson, writeJson } from './files.ts';
import { endProcess, identify, isRunning } from './ownProcess.ts';
import type { OwnProcess } from './ownProcess.ts';
import type { Statuses } from './supervisor.ts';
import type { Text } from './text.ts';

export type StackPhase = 'starting' | 'ready' | 'failed' | 'stopping';

/** What the background supervisor tells the commands, in status.json. */
export type StackStatus = {
  phase: StackPhase;
  publicUrl?: string;
  units: Statuses;
  startedAt: string;
  readyAfterMs?: number;
  error?: { text: Text; detail: string };
};

function fileOf(stateDir: string, name: 'status' | 'supervisor' | 'processes'): string {
  return path.join(stateDir, 'run', `${name}.json`);
}

export function writeStatus(stateDir: string, status: StackStatus): void {
  writeJson(fileOf(stateDir, 'status'), status);
}

/** What the supervisor last said; trust it only while findSupervisor finds one. */
export function readStatus(stateDir: string): StackStatus | undefined {
  return readJson<StackStatus>(fileOf(stateDir, 'status'));
}

/** The supervisor of this installation, when it runs. */
export function findSupervisor(stateDir: string): OwnProcess | undefined {
  const own = readJson<OwnProcess>(fileOf(stateDir, 'supervisor'));
  return isRunning(own) ? own : undefined;
}

/** Makes this process the only supervisor of the installation; false when there is one already. */
export function claimSupervision(stateDir: string): boolean {
  const file = fileOf(stateDir, 'supervisor');
  mkdirSync(path.dirname(file), { recursive: true });
  const own = JSON.stringify(identify(process.pid));
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(file, own, { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (findSupervisor(stateDir) !== undefined) return false;
      rmSync(file, { force: true }); // left by one that was killed
    }
  }
  return false;
}

export function writeProcesses(stateDir: string, processes: Record<string, OwnProcess>): void {
  writeJson(fileOf(stateDir, 'processes'), processes);
}

/** A service of this installation that runs now. */
export function findService(stateDir: string, name: string): OwnProcess | undefined {
  const own = readJson<Record<string, OwnProcess>>(fileOf(stateDir, 'processes'))?.[name];
  return isRunning(own) ? own : undefined;
}

/** Ends services that outlived a killed supervisor: only processes that it wrote down and that are still the same. True when there were any. */
export async function endLeftovers(stateDir: string): Promise<boolean> {
  const processes = readJson<Record<string, OwnProcess>>(fileOf(stateDir, 'processes')) ?? {};
  const names = Object.keys(processes).sort((a, b) => stopRank(a) - stopRank(b));
  let found = false;
  for (const name of names) {
    const own = processes[name];
    found ||= isRunning(own);
    // PostgreSQL reads SIGINT as "stop now, cleanly"; the others end on SIGTERM.
    const signal = name === 'postgres' ? 'SIGINT' : 'SIGTERM';
    if (own !== undefined) await endProcess(own, { signal, timeoutMs: 20_000, group: true });
  }
  rmSync(fileOf(stateDir, 'processes'), { force: true });
  return found;
}

function stopRank(name: string): number {
  return ['server', 'keycloak', 'redis', 'postgres'].indexOf(name);
}

/** Removes the notes of a stack that has ended. */
export function forget(stateDir: string): void {
  for (const name of ['processes', 'status', 'supervisor'] as const)
    rmSync(fileOf(stateDir, name), { force: true });
}
