import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { findDirectories, type Directories } from '../../stack/directories.ts';
import { answersOk } from '../../stack/httpProbe.ts';
import type { OwnProcess } from '../../stack/ownProcess.ts';
import { keepPorts, type Ports } from '../../stack/ports.ts';
import { createPostgresService } from '../../stack/postgres.service.ts';
import { createRedisService } from '../../stack/redis.service.ts';
import { keepSecrets, type Secrets } from '../../stack/secrets.ts';
import { createServerEnvironment, createServerTask } from '../../stack/server.service.ts';
import { Supervisor } from '../../stack/supervisor.ts';
import type { Service } from '../../stack/unit.ts';
import { startIssuer, type TestIssuer } from '../harness/issuer.ts';
import { TcpProxy } from './tcpProxy.ts';

export type ServiceName = 'postgres' | 'redis' | 'server';

/** What a fault bends before the services start. */
export interface Bend {
  /** Called when the state directory is there and nothing has been started. */
  readonly beforeStart?: (stateDir: string) => Promise<void>;
  /** More for the environment of the server's process. */
  readonly serverEnvironment?: Readonly<Record<string, string>>;
  /** Called when everything has been stopped, also after a start that failed. */
  readonly afterStop?: () => void;
  /** Address besides the loopback under which hosts reach this machine. */
  readonly gateway?: string;
}

/** The supervisor starts again what ended, with pauses that grow to this. */
const maxBackoffMs = 30_000;

/**
 * The services of one installation under the product's own supervisor, as `./atlas up` starts them: PostgreSQL with its
 * data flushed to the disk, Redis with its append-only file, and the server's whole program with its four roles. In place of
 * Keycloak stands an issuer of tokens; between hosts and the agents' listener stands a proxy that faults can bend.
 */
export class Installation {
  readonly stateDir: string;
  readonly directories: Directories;
  readonly secrets: Secrets;
  readonly environment: Record<string, string>;
  readonly issuer: TestIssuer;
  readonly identityDoor: TcpProxy;
  readonly agentsDoor: TcpProxy;
  readonly #ports: Ports;
  readonly #afterStop: () => void;
  readonly #supervisor: Supervisor;
  #processes: Record<string, OwnProcess> = {};

  private constructor(parts: {
    stateDir: string;
    ports: Ports;
    issuer: TestIssuer;
    identityDoor: TcpProxy;
    agentsDoor: TcpProxy;
    bend: Bend;
  }) {
    const { stateDir, ports, bend } = parts;
    this.stateDir = stateDir;
    this.#ports = ports;
    this.#afterStop = bend.afterStop ?? (() => undefined);
    this.issuer = parts.issuer;
    this.identityDoor = parts.identityDoor;
    this.agentsDoor = parts.agentsDoor;
    this.directories = { ...findDirectories(), stateDir };
    this.secrets = keepSecrets(stateDir);
    const told = bend.gateway ?? '127.0.0.1';
    const base = {
      ...{ directories: this.directories, ports, secrets: this.secrets },
      agentsNames: bend.gateway === undefined ? [] : [bend.gateway],
    };
    this.environment = {
      ...createServerEnvironment(base),
      ATLAS_AGENTS_URL: `wss://${told}:${parts.agentsDoor.port}/link`,
      ATLAS_ENROL_URL: `https://127.0.0.1:${ports.enrol}/enrol`,
      ATLAS_OIDC_ISSUER: parts.issuer.issuer,
      ATLAS_WEB_DIR: path.join(stateDir, 'no-web'),
      ATLAS_LOG_LEVEL: 'info',
      ...bend.serverEnvironment,
    };
    const common = { stateDir, secrets: this.secrets, durable: true };
    const task = { ...base, ports };
    this.#supervisor = new Supervisor({
      stateDir,
      units: [
        createPostgresService({ ...common, port: ports.postgres }),
        createRedisService({ ...common, port: ports.redis }),
        createServerTask('migrate', ['postgres'], task),
        this.#server(),
      ],
      onProcesses: (processes) => (this.#processes = processes),
    });
  }

  static async start(bend: Bend = {}): Promise<Installation> {
    const stateDir = mkdtempSync(path.join(tmpdir(), 'atlas-faults-'));
    // PostgreSQL runs as another user and must reach its own folder.
    mkdirSync(stateDir, { recursive: true, mode: 0o755 });
    rmSync(path.join(stateDir, 'ports.json'), { force: true });
    const issuer = await startIssuer();
    const identityDoor = await TcpProxy.open({ port: Number(new URL(issuer.issuer).port) });
    const ports = { ...(await keepPorts(stateDir)), keycloak: identityDoor.port };
    const agentsDoor = await TcpProxy.open({ port: ports.agents }, bend.gateway ?? '127.0.0.1');
    const made = new Installation({ stateDir, ports, issuer, identityDoor, agentsDoor, bend });
    try {
      await bend.beforeStart?.(stateDir);
      await made.#supervisor.start();
    } catch (error) {
      await made.stop();
      throw error;
    }
    return made;
  }

  #server(): Service {
    const { directories, environment } = this;
    return {
      kind: 'service',
      name: 'server',
      after: ['migrate', 'redis'],
      command: () => ({
        file: process.execPath,
        // The inspector stays shut until a signal asks for it: that is how an event loop is blocked from outside.
        args: ['--inspect-port=0', path.join(directories.root, 'server/src/main.ts'), 'serve'],
        cwd: directories.root,
        env: { ...process.env, ...environment },
      }),
      isReady: () => answersOk(`${this.peopleUrl}/healthz`),
      readyTimeoutMs: 120_000,
      stopSignal: 'SIGTERM',
      stopTimeoutMs: 20_000,
    };
  }

  get peopleUrl(): string {
    return `http://127.0.0.1:${this.#ports.people}`;
  }

  get postgresPort(): number {
    return this.#ports.postgres;
  }

  get redisPort(): number {
    return this.#ports.redis;
  }

  /** The process that runs now. Throws when there is none. */
  pidOf(name: ServiceName): number {
    const own = this.#processes[name];
    if (own === undefined) throw new Error(`${name} does not run`);
    return own.pid;
  }

  /** Waits until another process stands in the place of a dead one and answers. */
  async isBack(name: ServiceName, formerPid: number, limitMs = 4 * maxBackoffMs): Promise<void> {
    const untilMs = Date.now() + limitMs;
    while (this.#processes[name]?.pid === formerPid || this.#processes[name] === undefined) {
      if (Date.now() > untilMs) throw new Error(`${name} was not started again in ${limitMs} ms`);
      await delay(50);
    }
  }

  /** The last lines that a service wrote. */
  logOf(name: ServiceName): string {
    return readFileSync(path.join(this.stateDir, 'logs', `${name}.log`), 'utf8');
  }

  urlOf(
    role: 'postgres' | 'atlas_owner' | 'atlas_system',
    database = 'atlas',
    port = this.postgresPort,
  ): string {
    const name = {
      postgres: 'postgres-superuser',
      atlas_owner: 'database-owner',
      atlas_system: 'database-system',
    };
    const password = this.secrets.read(name[role] as 'postgres-superuser');
    return `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;
  }

  /** Rows as nobody's policies filter them, over a connection of its own. */
  async query<T extends pg.QueryResultRow>(
    text: string,
    values: unknown[] = [],
    database = 'atlas',
  ): Promise<T[]> {
    const client = new pg.Client({
      connectionString: this.urlOf('postgres', database),
      connectionTimeoutMillis: 5_000,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query<T>(text, values)).rows;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop();
    await Promise.all([this.agentsDoor.close(), this.identityDoor.close(), this.issuer.close()]);
    this.#afterStop();
    rmSync(this.stateDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
