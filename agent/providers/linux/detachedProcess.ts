import { spawn } from 'node:child_process';
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { commandEnvironment } from '../../src/host/command.ts';

/** How a program ended that writes to files, so that it outlives its starter. */
export interface DetachedEnd {
  readonly exitCode: number;
  readonly output: string;
  /** The time was over; the program goes on. */
  readonly isStillRunning: boolean;
}

export interface DetachedStart {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Private directory of the command; holds output, status and the process's identity. */
  readonly directory: string;
  readonly label: string;
  readonly signal: AbortSignal;
  readonly onStatus: (lines: readonly string[]) => void;
}

const pollMs = 500;
const maxTailBytes = 65_536;
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** When a process began, in clock ticks since the machine's start: tells it from a later one with its number. */
async function readStartTicks(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

async function readTail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.slice(-maxTailBytes);
}

/** Follows a status file: whole new lines since the last look. */
class LineFollower {
  readonly #file: string;
  #seen = 0;

  constructor(file: string) {
    this.#file = file;
  }

  async next(): Promise<string[]> {
    const text = await readFile(this.#file, 'utf8').catch(() => '');
    const end = text.lastIndexOf('\n') + 1;
    const fresh = text.slice(this.#seen, end);
    this.#seen = Math.max(this.#seen, end);
    return fresh.split('\n').filter((line) => line !== '');
  }
}

/**
 * Runs a program in a session of its own with its output in files (status lines on descriptor 3). Pipes would break
 * with this program and take a half-done installation along.
 */
export async function startDetached(start: DetachedStart): Promise<DetachedEnd> {
  await mkdir(start.directory, { recursive: true, mode: 0o700 });
  const at = (suffix: string) => path.join(start.directory, `${start.label}.${suffix}`);
  const [output, status] = [await open(at('log'), 'w', 0o600), await open(at('status'), 'w', 0o600)];
  const child = spawn(start.program, [...start.args], {
    detached: true,
    stdio: ['ignore', output.fd, output.fd, status.fd],
    env: { ...commandEnvironment, ...start.env },
  });
  const ended = new Promise<number>((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 137));
  });
  if (child.pid !== undefined)
    await writeFile(at('pid'), `${child.pid} ${(await readStartTicks(child.pid)) ?? ''}`, { mode: 0o600 });
  const follower = new LineFollower(at('status'));
  let exitCode: number | null = null;
  while (exitCode === null && !start.signal.aborted) {
    exitCode = await Promise.race([ended, wait(pollMs).then(() => null)]);
    const lines = await follower.next();
    if (lines.length > 0) start.onStatus(lines);
  }
  await Promise.all([output.close(), status.close()]);
  return { exitCode: exitCode ?? -1, output: await readTail(at('log')), isStillRunning: exitCode === null };
}

/** Waits for programs that a former life of this agent started and that are still at work. */
export async function waitForLeftover(directory: string, signal: AbortSignal): Promise<void> {
  const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.pid'));
  for (const name of names) {
    const [pid, ticks] = (await readFile(path.join(directory, name), 'utf8')).split(' ');
    while (!signal.aborted && ticks !== '' && (await readStartTicks(Number(pid))) === ticks)
      await wait(pollMs);
  }
}
