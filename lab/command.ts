import { spawn } from 'node:child_process';
import { LabError } from './lab.errors.ts';

/** What a finished command left behind; a failed command is an answer, not an exception. */
export interface CommandResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Settings of one command; without `timeoutMs` it may take ten minutes. */
export interface CommandOptions {
  input?: string | Buffer;
  timeoutMs?: number;
  cwd?: string;
}

const defaultTimeoutMs = 600_000;
/** Exit status when the command could not be run or had to be killed, as a shell would say it. */
const killedExitCode = 137;

/** Runs a program with arguments (no shell) and returns its exit status and output. */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(program, [...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? defaultTimeoutMs,
    killSignal: 'SIGKILL',
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program that does not read its input closes the pipe early; its exit status tells the rest.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const exitCode = await new Promise<number>((resolve) => {
    child.on('error', (error) => {
      stderr.push(Buffer.from(`${program}: ${error.message}\n`));
      resolve(127);
    });
    child.on('close', (code) => resolve(code ?? killedExitCode));
  });
  return {
    exitCode,
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
  };
}

/** Runs a program that has to succeed and returns its standard output; throws `command_failed` otherwise. */
export async function requireCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await runCommand(program, args, options);
  if (result.exitCode === 0) return result.stdout;
  const lastLines = result.stderr.trim().split('\n').slice(-5).join('\n');
  throw new LabError('command_failed', `${program} ${args.join(' ')} → ${result.exitCode}\n${lastLines}`);
}

/** Waits until `probe` gives a value; returns undefined when `timeoutMs` has passed. */
export async function pollUntil<Value>(
  probe: () => Promise<Value | undefined> | Value | undefined,
  timeoutMs: number,
): Promise<Value | undefined> {
  const endsAt = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() >= endsAt) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
