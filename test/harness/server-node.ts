import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findFreePort } from './database.ts';

const main = path.resolve(import.meta.dirname, '../../server/src/main.ts');
const readyWithinMs = 120_000;

/** Settings that all nodes of one installation share. */
export type SharedSettings = Readonly<Record<string, string>>;

/** One process of the server, as it is started in the field, with listeners of its own. */
export class ServerNode {
  readonly url: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly #directory: string;
  #process: ChildProcess | null = null;
  #said = '';

  private constructor(directory: string, environment: Readonly<Record<string, string>>) {
    this.#directory = directory;
    this.environment = environment;
    this.url = `http://127.0.0.1:${environment.ATLAS_PEOPLE_PORT ?? ''}`;
  }

  /** Chooses ports and a folder; nothing runs yet. */
  static async create(shared: SharedSettings): Promise<ServerNode> {
    const directory = await mkdtemp(path.join(tmpdir(), 'atlas-node-'));
    return new ServerNode(directory, {
      ...shared,
      ATLAS_PEOPLE_PORT: String(await findFreePort()),
      ATLAS_AGENTS_PORT: String(await findFreePort()),
      ATLAS_ENROL_PORT: String(await findFreePort()),
      ATLAS_AGENTS_NAMES: 'localhost',
      ATLAS_DATA_DIR: directory,
      ATLAS_WEB_DIR: path.join(directory, 'no-web'),
      ATLAS_LOG_LEVEL: 'warn',
    });
  }

  /** Starts, and resolves when it answers that it is ready. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [main, 'serve'], {
      env: { PATH: process.env.PATH, ...this.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on(
        'data',
        (chunk: Buffer) => (this.#said = (this.#said + chunk.toString('utf8')).slice(-20_000)),
      );
    const untilMs = Date.now() + readyWithinMs;
    while (child.exitCode === null && Date.now() < untilMs) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      if (answer?.status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`a node does not start:\n${this.#said}`);
  }

  /** As when the machine loses its power: nothing is finished. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
}

/** Runs a command of the server's program to its end with the settings of a node. */
export async function runServerCommand(node: ServerNode, args: readonly string[]) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH, ...node.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, output };
}
