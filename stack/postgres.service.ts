import { chownSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { writeWhole } from './files.ts';
import { findPostgresFolder } from './postgresBinaries.ts';
import { createDatabases } from './postgresRoles.ts';
import { runCommand } from './runCommand.ts';
import type { Secrets } from './secrets.ts';
import { canReach, ensurePostgresUser } from './systemUser.ts';
import type { SystemUser } from './systemUser.ts';
import type { Command, Service, Work } from './unit.ts';

export type PostgresOptions = {
  stateDir: string;
  port: number;
  secrets: Secrets;
  /** False only for tests: commits are then not flushed to the disk. */
  durable: boolean;
};

/** PostgreSQL 18 from the npm package, data under the state directory, loopback only, SCRAM passwords. */
export function createPostgresService(options: PostgresOptions): Service {
  // The data's own folder belongs to the system user whole, so that it can be opened to that user alone.
  const homeDir = path.join(options.stateDir, 'postgres');
  const native = findPostgresFolder();
  const user = ensurePostgresUser();
  const superuser = {
    port: options.port,
    password: (): string => options.secrets.read('postgres-superuser'),
  };
  return {
    kind: 'service',
    name: 'postgres',
    after: [],
    prepare: (work) => createCluster({ ...options, homeDir, native, user }, work),
    command: () => {
      const settings = ['-D', path.join(homeDir, 'data'), '-p', String(options.port), ...settingsOf(options)];
      return asUser(user, { native, homeDir }, [path.join(native, 'bin', 'postgres'), ...settings]);
    },
    isReady: () => answers(superuser),
    readyTimeoutMs: 60_000,
    afterReady: () => createDatabases(connectAs(superuser), options.secrets),
    stopSignal: 'SIGINT',
    stopTimeoutMs: 20_000,
  };
}

function settingsOf(options: PostgresOptions): string[] {
  const flags: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    password_encryption: 'scram-sha-256',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(options.durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  return Object.entries(flags).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

type Cluster = PostgresOptions & { homeDir: string; native: string; user: SystemUser | undefined };

async function createCluster(cluster: Cluster, work: Work): Promise<void> {
  const { homeDir } = cluster;
  const dataDir = path.join(homeDir, 'data');
  if (existsSync(path.join(dataDir, 'PG_VERSION'))) return;
  work.report(['création de la base de données', 'creating the database']);
  // Made beside and renamed: an interrupted creation never looks like a database.
  const fresh = `${dataDir}.new`;
  const passwordFile = path.join(homeDir, 'password');
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true, mode: 0o700 });
  writeWhole(passwordFile, cluster.secrets.read('postgres-superuser'), 0o600);
  if (cluster.user !== undefined) {
    for (const file of [homeDir, fresh, passwordFile]) chownSync(file, cluster.user.uid, cluster.user.gid);
  }
  const initdb = [path.join(cluster.native, 'bin', 'initdb'), '-D', fresh, '-U', 'postgres'];
  const flags = ['--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8', '--no-instructions'];
  const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const sync = cluster.durable ? [] : ['--no-sync'];
  const command = asUser(cluster.user, cluster, [...initdb, ...flags, ...locale, ...sync]);
  const log = { stateDir: cluster.stateDir, logName: 'postgres', signal: work.signal };
  try {
    await runCommand(command.file, command.args, { ...log, ...command });
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(fresh, dataDir);
}

/**
 * The command run as the system user. When a folder above is closed to that user (a clone under /root), the command
 * gets a mount namespace of its own in which the two folders it needs are open; nothing stays mounted after it.
 */
function asUser(
  user: SystemUser | undefined,
  folders: { native: string; homeDir: string },
  line: string[],
): Command {
  const [file = '', ...args] = line;
  if (user === undefined) return { file, args };
  const paths = [folders.native, folders.homeDir];
  if (paths.every((one) => canReach(user, one))) return { file, args, uid: user.uid, gid: user.gid };
  const door =
    ['/mnt', '/srv', '/opt'].find((one) => paths.every((other) => !other.startsWith(`${one}/`))) ?? '/media';
  const opened = [
    `mount -t tmpfs -o mode=755 tmpfs ${door} && mkdir ${door}/native ${door}/data`,
    `mount --bind "$1" ${door}/native && mount --bind "$2" ${door}/data && shift 2`,
    `exec setpriv --reuid=${user.uid} --regid=${user.gid} --init-groups -- "$@"`,
  ].join(' && ');
  const inside = (argument: string): string =>
    argument.replace(folders.native, `${door}/native`).replace(folders.homeDir, `${door}/data`);
  const script = ['--mount', '--propagation', 'private', '--', 'sh', '-c', opened, 'sh'];
  return { file: 'unshare', args: [...script, folders.native, folders.homeDir, ...line.map(inside)] };
}

type Superuser = { port: number; password: () => string };

function connectAs(superuser: Superuser): (database: string) => pg.Client {
  return (database) =>
    new pg.Client({
      host: '127.0.0.1',
      user: 'postgres',
      port: superuser.port,
      password: superuser.password(),
      database,
    });
}

async function answers(superuser: Superuser): Promise<boolean> {
  const client = connectAs(superuser)('postgres');
  // A server that starts or stops drops connections; the next poll tells.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
