import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { readTail } from './files.ts';
import { logFileOf, openLog } from './logFile.ts';
import { StackError } from './text.ts';

export type RunOptions = {
  stateDir: string;
  /** Name of the log that takes its output. */
  logName: string;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  uid?: number;
  gid?: number;
  signal?: AbortSignal;
};

/** Runs a command to its end, output in a log. @throws StackError with the log's last lines when it fails. */
export async function runCommand(file: string, args: string[], options: RunOptions): Promise<void> {
  const { stateDir, logName, env, ...spawnOptions } = options;
  const log = openLog(stateDir, logName);
  const child = spawn(file, args, {
    ...spawnOptions,
    env: { ...(env ?? process.env), NO_COLOR: '1' },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const why = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit status ${code}`)));
  });
  if (why === undefined) return;
  throw new StackError([`« ${file} » a échoué (${why})`, `'${file}' failed (${why})`], {
    detail: readTail(logFileOf(stateDir, logName), 20),
  });
}
