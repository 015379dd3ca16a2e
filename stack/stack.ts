import { mkdirSync } from 'node:fs';
import { findDirectories } from './directories.ts';
import type { Directories } from './directories.ts';
import { createKeycloakService } from './keycloak.service.ts';
import type { OwnProcess } from './ownProcess.ts';
import { keepPorts } from './ports.ts';
import type { Ports } from './ports.ts';
import { createPostgresService } from './postgres.service.ts';
import { createRedisService } from './redis.service.ts';
import { keepSecrets } from './secrets.ts';
import type { Secrets } from './secrets.ts';
import {
  createServerEnvironment,
  createServerService,
  createServerTask,
  hasServer,
  publicUrlOf,
} from './server.service.ts';
import { Supervisor } from './supervisor.ts';
import type { Statuses } from './supervisor.ts';
import { StackError } from './text.ts';
import type { Unit } from './unit.ts';
import { createWebTask, findWebFolder, hasWeb } from './web.task.ts';

export type StackOptions = {
  directories?: Directories;
  /** False only for tests: commits are then not flushed to the disk. */
  durable?: boolean;
  /** More names or addresses that agents may call the server by. */
  agentsNames?: string[];
  /** Restart the server whenever its source changes. */
  watch?: boolean;
  /** Aborting it stops everything, also in the middle of a start. */
  signal?: AbortSignal;
  onStatus?: (statuses: Statuses) => void;
  onProcesses?: (processes: Record<string, OwnProcess>) => void;
};

export type StackHandle = {
  directories: Directories;
  ports: Ports;
  secrets: Secrets;
  publicUrl: string;
  /** The server's configuration: `{ ...process.env, ...environment }` runs it by hand. */
  environment: Record<string, string>;
  /** Stops everything, dependants first. */
  stop: () => Promise<void>;
};

/** Starts everything of one installation in this process's care. @throws StackError with a remedy, all stopped again. */
export function startStack(options: StackOptions = {}): Promise<StackHandle> {
  return start(options, listAllUnits);
}

/** Starts PostgreSQL and Redis only, on a private state directory. Tests do not flush to disk; benchmarks do. */
export function startDatabases(stateDir: string, durable = false): Promise<StackHandle> {
  const directories = { ...findDirectories(), stateDir };
  return start({ directories, durable }, listDatabases);
}

type Base = { directories: Directories; ports: Ports; secrets: Secrets; durable: boolean };

function listDatabases(base: Base): Unit[] {
  const common = { stateDir: base.directories.stateDir, secrets: base.secrets, durable: base.durable };
  return [
    createPostgresService({ ...common, port: base.ports.postgres }),
    createRedisService({ ...common, port: base.ports.redis }),
  ];
}

function listAllUnits(base: Base, options: StackOptions): Unit[] {
  const { directories } = base;
  const units: Unit[] = [...listDatabases(base), createKeycloakService(base)];
  const webDir = hasWeb(directories) ? findWebFolder(directories) : undefined;
  if (webDir !== undefined) units.push(createWebTask(directories, webDir));
  if (!hasServer(directories)) return units;
  const server = {
    ...base,
    ...(webDir === undefined ? {} : { webDir }),
    agentsNames: options.agentsNames ?? [],
    watch: options.watch ?? false,
  };
  units.push(createServerTask('migrate', ['postgres'], server));
  units.push(createServerTask('provision', ['migrate', 'keycloak'], server));
  units.push(createServerService(['migrate', 'redis', ...(webDir === undefined ? [] : ['web'])], server));
  return units;
}

async function start(
  options: StackOptions,
  list: (base: Base, options: StackOptions) => Unit[],
): Promise<StackHandle> {
  const directories = options.directories ?? findDirectories();
  const { stateDir } = directories;
  mkdirSync(stateDir, { recursive: true, mode: 0o755 });
  const ports = await keepPorts(stateDir);
  const secrets = keepSecrets(stateDir);
  const base = { directories, ports, secrets, durable: options.durable ?? true };
  const supervisor = new Supervisor({
    stateDir,
    units: list(base, options),
    ...(options.onStatus === undefined ? {} : { onStatus: options.onStatus }),
    ...(options.onProcesses === undefined ? {} : { onProcesses: options.onProcesses }),
  });
  const stopped = ['arrêté pendant le démarrage', 'stopped during the start'] as const;
  options.signal?.addEventListener('abort', () => void supervisor.stop());
  try {
    await supervisor.start();
    if (options.signal?.aborted === true) throw new StackError(stopped);
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  return {
    directories,
    ports,
    secrets,
    publicUrl: publicUrlOf(ports),
    environment: createServerEnvironment(base),
    stop: () => supervisor.stop(),
  };
}
