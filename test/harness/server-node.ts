import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readConfig } from '../../server/src/config.ts';
import { createPlatform, type Platform } from '../../server/src/main.platform.ts';
import { findFreePort } from './database.ts';
import { startIssuer, type TestIssuer } from './issuer.ts';
import { startRedis } from './redis.ts';

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

  /** Of the process that runs, to read what it uses. */
  get pid(): number {
    return this.#process?.pid ?? 0;
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

/** What the processes of one installation share besides their database. */
export class NodeServices {
  readonly issuer: TestIssuer;
  readonly shared: SharedSettings;
  readonly #remove: () => Promise<void>;
  #platform: Platform | undefined;

  private constructor(issuer: TestIssuer, shared: SharedSettings, remove: () => Promise<void>) {
    this.issuer = issuer;
    this.shared = shared;
    this.#remove = remove;
  }

  /** Starts Redis and an issuer of tokens, and makes a key that wraps keys. */
  static async start(database: {
    readonly appUrl: string;
    readonly systemUrl: string;
  }): Promise<NodeServices> {
    const [redis, issuer, port] = await Promise.all([startRedis(), startIssuer(), findFreePort()]);
    const directory = await mkdtemp(path.join(tmpdir(), 'atlas-test-services-'));
    const kekFile = path.join(directory, 'kek');
    await writeFile(kekFile, randomBytes(32), { mode: 0o600 });
    const shared = {
      ATLAS_PUBLIC_URL: `http://localhost:${port}`,
      ATLAS_DATABASE_URL: database.appUrl,
      ATLAS_SYSTEM_DATABASE_URL: database.systemUrl,
      ATLAS_REDIS_URL: redis.url,
      ATLAS_KEYCLOAK_URL: new URL(issuer.jwksUrl).origin,
      ATLAS_OIDC_ISSUER: issuer.issuer,
      ATLAS_KEK_FILE: kekFile,
    };
    return new NodeServices(issuer, shared, async () => {
      await Promise.all([issuer.close(), redis.stop()]);
      await rm(directory, { recursive: true, force: true });
    });
  }

  /** The platform as that process has it, to prepare what no route makes. */
  async platformOf(node: ServerNode, logLevel = 'error'): Promise<Platform> {
    this.#platform ??= await createPlatform(
      readConfig({ ...node.environment, ATLAS_LOG_LEVEL: logLevel }),
      'test',
    );
    return this.#platform;
  }

  /** To be called when the processes have ended. */
  async remove(): Promise<void> {
    await this.#platform?.close();
    await this.#remove();
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
