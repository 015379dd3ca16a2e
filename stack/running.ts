import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { openLog } from './logFile.ts';
import { endProcess, identify } from './ownProcess.ts';
import type { OwnProcess } from './ownProcess.ts';
import type { Command, Service } from './unit.ts';

export type Running = {
  own: OwnProcess;
  /** Settles when the process has ended, with words for why. */
  ended: Promise<string>;
  hasEnded: () => boolean;
  stop: () => Promise<void>;
};

/** Starts a service in a process group of its own, its output appended to its log. */
export async function startProcess(stateDir: string, service: Service): Promise<Running> {
  const command = service.command();
  const log = openLog(stateDir, service.name);
  const child = spawnLogged(command, log);
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `exit status ${code}` : `signal ${signal}`),
    );
  });
  const own = child.pid === undefined ? undefined : identify(child.pid);
  if (own === undefined) throw new Error(`${service.name} did not start: ${await ended}`);
  let over = false;
  void ended.then(() => (over = true));
  return {
    own,
    ended,
    hasEnded: () => over,
    stop: async () => {
      await endProcess(own, { signal: service.stopSignal, timeoutMs: service.stopTimeoutMs, group: true });
      await ended;
    },
  };
}

function spawnLogged(command: Command, log: number): ChildProcess {
  return spawn(command.file, command.args, {
    cwd: command.cwd,
    env: command.env ?? process.env,
    // A group of its own: Ctrl+C in the terminal reaches the supervisor alone, which stops services in order.
    detached: true,
    stdio: ['ignore', log, log],
    ...(command.uid === undefined ? {} : { uid: command.uid }),
    ...(command.gid === undefined ? {} : { gid: command.gid }),
  });
}
