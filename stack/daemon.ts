import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endLeftovers, findSupervisor, forget, readStatus } from './daemonState.ts';
import type { StackStatus } from './daemonState.ts';
import type { Directories } from './directories.ts';
import { readTail } from './files.ts';
import { logFileOf, openLog } from './logFile.ts';
import { endProcess, identify, isRunning } from './ownProcess.ts';
import type { OwnProcess } from './ownProcess.ts';
import { StackError } from './text.ts';

export type DaemonOptions = { agentsNames?: string[]; watch?: boolean };

const pollMs = 100;
const stopTimeoutMs = 90_000;

/** Starts the background supervisor and returns at once; the one that runs already is left alone. */
export function startDaemon(directories: Directories, options: DaemonOptions = {}): OwnProcess {
  const { stateDir, cacheDir } = directories;
  const running = findSupervisor(stateDir);
  if (running !== undefined) return running;
  forget(stateDir);
  const log = openLog(stateDir, 'supervisor');
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'daemon.main.ts')], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: directories.root,
    env: {
      ...process.env,
      ATLAS_STATE_DIR: stateDir,
      ATLAS_CACHE_DIR: cacheDir,
      ...(options.agentsNames === undefined ? {} : { ATLAS_AGENTS_NAMES: options.agentsNames.join(',') }),
      ...(options.watch === true ? { ATLAS_DEV_WATCH: '1' } : {}),
    },
  });
  closeSync(log);
  child.unref();
  const own = child.pid === undefined ? undefined : identify(child.pid);
  if (own === undefined) throw supervisorDied(stateDir);
  return own;
}

/** Waits until all is ready; tells every change on the way. @throws StackError with the reason when it failed. */
export async function waitUntilReady(
  stateDir: string,
  supervisor: OwnProcess,
  onStatus: (status: StackStatus) => void,
): Promise<StackStatus> {
  for (;;) {
    // Of two started at once one wins; the loser ends and the winner is waited for.
    const alive = isRunning(supervisor) || findSupervisor(stateDir) !== undefined;
    const status = readStatus(stateDir);
    if (status !== undefined) onStatus(status);
    if (status?.phase === 'ready' && alive) return status;
    if (status?.phase === 'failed')
      throw new StackError(status.error?.text ?? ['échec', 'failed'], status.error);
    if (!alive) throw supervisorDied(stateDir);
    await sleep(pollMs);
  }
}

function supervisorDied(stateDir: string): StackError {
  const text = ['le superviseur s’est arrêté', 'the supervisor has ended'] as const;
  return new StackError(text, { detail: readTail(logFileOf(stateDir, 'supervisor'), 20) });
}

/** Stops the supervisor and all that it started, and whatever a killed one left. True when something ran. */
export async function stopDaemon(stateDir: string): Promise<boolean> {
  const supervisor = findSupervisor(stateDir);
  if (supervisor !== undefined) await endProcess(supervisor, { signal: 'SIGTERM', timeoutMs: stopTimeoutMs });
  const leftBehind = await endLeftovers(stateDir);
  forget(stateDir);
  return supervisor !== undefined || leftBehind;
}
