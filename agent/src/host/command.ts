import { spawn } from 'node:child_process';

/** What a finished program left behind. A failed command is data, not an exception. */
export interface CommandOutput {
  /** Exit status; 127 when it could not be started, 137 when it was ended from here. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly maxOutputBytes?: number;
}

/** The only environment that programs get: fixed paths and language, nothing inherited. */
export const commandEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C',
};

/** Collects output up to a limit; a program that floods is heard no further. */
class Collector {
  readonly #chunks: Buffer[] = [];
  #left: number;

  constructor(limit: number) {
    this.#left = limit;
  }

  add(chunk: Buffer): void {
    const taken = chunk.subarray(0, Math.max(0, this.#left));
    this.#left -= taken.length;
    if (taken.length > 0) this.#chunks.push(taken);
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}

/** Runs a program with arguments as a list: there is no shell, so no argument can become a command. */
export function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandOutput> {
  const limit = options.maxOutputBytes ?? 16 << 20;
  const [stdout, stderr] = [new Collector(limit), new Collector(1 << 20)];
  return new Promise((resolve) => {
    const child = spawn(program, [...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...commandEnvironment, ...options.env },
      timeout: options.timeoutMs ?? 120_000,
      killSignal: 'SIGKILL',
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    child.stdout.on('data', (chunk: Buffer) => stdout.add(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.add(chunk));
    child.on('error', (error) => {
      if (child.pid === undefined)
        resolve({ exitCode: 127, stdout: '', stderr: `${program}: ${error.message}` });
    });
    child.on('close', (code) =>
      resolve({ exitCode: code ?? 137, stdout: stdout.text(), stderr: stderr.text() }),
    );
  });
}

/** Last lines of a text, short enough for a result's detail. */
export function tailOf(text: string, maxLength = 1500): string {
  const clean = text.trim().replace(/[^\P{C}\n\t]/gu, ' ');
  return clean.length <= maxLength ? clean : `…${clean.slice(-maxLength)}`;
}
