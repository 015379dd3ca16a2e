import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Directories } from './directories.ts';
import { answersOk } from './httpProbe.ts';
import type { Ports } from './ports.ts';
import { redisUser } from './redis.service.ts';
import { runCommand } from './runCommand.ts';
import type { Secrets } from './secrets.ts';
import type { Service, Task } from './unit.ts';

export type ServerOptions = {
  directories: Directories;
  ports: Ports;
  secrets: Secrets;
  /** More names or addresses that agents may call the agents' listener by. */
  agentsNames?: string[];
  /** The built web application. */
  webDir?: string;
  /** Restart the server whenever its source changes. */
  watch?: boolean;
};

/** A name that lab hosts can give to this machine; it is in the certificate of the agents' listener. */
export const agentsName = 'atlas.internal';

export function publicUrlOf(ports: Ports): string {
  return `http://localhost:${ports.people}`;
}

/** The whole configuration of the server, secrets by file. */
export function createServerEnvironment(options: ServerOptions): Record<string, string> {
  const { ports, secrets, directories } = options;
  // Standbys that the site runs on other machines follow the database of this installation.
  const hosts = [`127.0.0.1:${ports.postgres}`, ...(process.env.ATLAS_DATABASE_STANDBYS?.split(',') ?? [])];
  const database = (role: string): string => `postgres://${role}@${hosts.join(',')}/atlas`;
  // Agents are told the first one; a site that has a DNS name for this machine sets ATLAS_AGENTS_NAME.
  const told = process.env.ATLAS_AGENTS_NAME ?? agentsName;
  const names = [told, agentsName, 'localhost', '127.0.0.1', os.hostname(), ...(options.agentsNames ?? [])];
  return {
    ATLAS_PUBLIC_URL: publicUrlOf(ports),
    ATLAS_PEOPLE_HOST: '127.0.0.1',
    ATLAS_PEOPLE_PORT: String(ports.people),
    ATLAS_AGENTS_HOST: '0.0.0.0',
    ATLAS_AGENTS_PORT: String(ports.agents),
    ATLAS_AGENTS_NAMES: [...new Set(names)].join(','),
    ATLAS_AGENTS_URL: `wss://${told}:${ports.agents}/link`,
    ATLAS_ENROL_HOST: '0.0.0.0',
    ATLAS_ENROL_PORT: String(ports.enrol),
    ATLAS_ENROL_URL: `https://${told}:${ports.enrol}/enrol`,
    ATLAS_DATABASE_URL: database('atlas_app'),
    ATLAS_DATABASE_PASSWORD_FILE: secrets.fileOf('database-app'),
    ATLAS_SYSTEM_DATABASE_URL: database('atlas_system'),
    ATLAS_SYSTEM_DATABASE_PASSWORD_FILE: secrets.fileOf('database-system'),
    ATLAS_OWNER_DATABASE_URL: database('atlas_owner'),
    ATLAS_OWNER_DATABASE_PASSWORD_FILE: secrets.fileOf('database-owner'),
    ATLAS_REDIS_URL: `redis://${redisUser}@127.0.0.1:${ports.redis}/0`,
    ATLAS_REDIS_PASSWORD_FILE: secrets.fileOf('redis'),
    ATLAS_KEYCLOAK_URL: `http://127.0.0.1:${ports.keycloak}/idp`,
    ATLAS_KEYCLOAK_ADMIN_SECRET_FILE: secrets.fileOf('keycloak-admin'),
    ATLAS_OIDC_ISSUER: `${publicUrlOf(ports)}/idp/realms/atlas`,
    ATLAS_DATA_DIR: path.join(directories.stateDir, 'server'),
    ATLAS_AGENTLESS_DIR: path.join(directories.cacheDir, 'agentless'),
    ATLAS_KEK_FILE: secrets.kekFile,
    ...(options.webDir === undefined ? {} : { ATLAS_WEB_DIR: options.webDir }),
    ATLAS_ROLE: 'all',
    ATLAS_LOG_LEVEL: process.env.ATLAS_LOG_LEVEL ?? 'info',
  };
}

function serverEntry(directories: Directories): string {
  return path.join(directories.root, 'server', 'src', 'main.ts');
}

/** True when this tree holds a server to run; a checkout of the stack alone starts the databases only. */
export function hasServer(directories: Directories): boolean {
  return existsSync(serverEntry(directories));
}

/** A step that the server's own program does and ends: migrations, realm. */
export function createServerTask(
  name: 'migrate' | 'provision',
  after: string[],
  options: ServerOptions,
): Task {
  return {
    kind: 'task',
    name,
    after,
    run: ({ signal }) =>
      runCommand(process.execPath, [serverEntry(options.directories), name], {
        stateDir: options.directories.stateDir,
        logName: name,
        env: { ...process.env, ...createServerEnvironment(options) },
        signal,
      }),
  };
}

/** The ATLAS server, all roles in one process. */
export function createServerService(after: string[], options: ServerOptions): Service {
  const watch = options.watch === true ? ['--watch', '--watch-preserve-output'] : [];
  return {
    kind: 'service',
    name: 'server',
    after,
    command: () => ({
      file: process.execPath,
      args: [...watch, serverEntry(options.directories), 'serve'],
      cwd: options.directories.root,
      env: { ...process.env, ...createServerEnvironment(options) },
    }),
    isReady: () => answersOk(`http://127.0.0.1:${options.ports.people}/healthz`),
    readyTimeoutMs: 120_000,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 20_000,
  };
}
