import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { findPostgresFolder } from '../../stack/postgresBinaries.ts';
import { ensurePostgresUser } from '../../stack/systemUser.ts';
import { findFreePort } from './database.ts';

type Role = 'postgres' | 'atlas_owner' | 'atlas_app' | 'atlas_system';

const native = findPostgresFolder();
const user = ensurePostgresUser();
/** Made anew by whoever starts from a copy of another's files. */
const notCopied = ['postmaster.pid', 'postmaster.opts', 'pg_wal', 'pg_replslot', 'standby.signal'];

/** One PostgreSQL of a pair, with commits flushed to the disk as in the field. */
export class DatabaseServer {
  readonly port: number;
  readonly #folder: string;
  readonly #password: string;
  #process: ChildProcess | null = null;
  #said = '';

  private constructor(port: number, password: string) {
    this.port = port;
    this.#password = password;
    this.#folder = mkdtempSync(path.join(tmpdir(), 'atlas-test-pair-'));
    chmodSync(this.#folder, 0o755);
  }

  /** A fresh, empty cluster that runs, with the product's roles and its database. */
  static async create(): Promise<DatabaseServer> {
    const made = new DatabaseServer(await findFreePort(), randomBytes(16).toString('hex'));
    const passwordFile = path.join(made.#folder, 'password');
    writeFileSync(passwordFile, made.#password);
    made.#makeData();
    made.#run('initdb', ['-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--no-sync']);
    await made.start();
    for (const role of ['atlas_owner', 'atlas_app', 'atlas_system'])
      await made.query(`create role ${role} login password '${made.#password}'`);
    await made.query(`create role replicator login replication password '${made.#password}'`);
    await made.query('create database atlas owner atlas_owner');
    await made.query('alter schema public owner to atlas_owner', 'atlas');
    return made;
  }

  /**
   * A standby that follows this one under that name: a copy of the files between the start and the end of a backup, as
   * PostgreSQL documents it, with a slot that keeps what the copy still needs.
   */
  async standby(name: string, port?: number): Promise<DatabaseServer> {
    const made = new DatabaseServer(port ?? (await findFreePort()), this.#password);
    await this.query(`select pg_create_physical_replication_slot('${name}', true)`);
    // The end of a backup belongs to the session of its beginning.
    await this.#with('postgres', async (client) => {
      await client.query(`select pg_backup_start('${name}', true)`);
      cpSync(this.#data, made.#data, {
        recursive: true,
        filter: (file) => !notCopied.includes(path.relative(this.#data, file)),
      });
      const { rows } = await client.query<{ labelfile: string }>(
        'select labelfile from pg_backup_stop(false)',
      );
      writeFileSync(path.join(made.#data, 'backup_label'), rows[0]?.labelfile ?? '');
    });
    for (const folder of ['pg_wal', 'pg_replslot']) mkdirSync(path.join(made.#data, folder), { mode: 0o700 });
    writeFileSync(path.join(made.#data, 'standby.signal'), '');
    const conninfo = `host=127.0.0.1 port=${this.port} user=replicator password=${this.#password} application_name=${name}`;
    appendFileSync(
      path.join(made.#data, 'postgresql.auto.conf'),
      `primary_conninfo = '${conninfo}'\nprimary_slot_name = '${name}'\nsynchronous_standby_names = ''\n`,
    );
    made.#own();
    await made.start();
    return made;
  }

  get #data(): string {
    return path.join(this.#folder, 'data');
  }

  url(role: Role): string {
    return `postgresql://${role}:${this.#password}@127.0.0.1:${this.port}/atlas`;
  }

  async query<T extends pg.QueryResultRow>(text: string, database = 'postgres'): Promise<T[]> {
    return this.#with(database, async (client) => (await client.query<T>(text)).rows);
  }

  /** Starts on what is on the disk, and resolves when it answers. */
  async start(): Promise<void> {
    const flags = { port: String(this.port), listen_addresses: '127.0.0.1', unix_socket_directories: '' };
    const args = Object.entries(flags).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(path.join(native, 'bin/postgres'), ['-D', this.#data, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    });
    child.stderr.on('data', (chunk: Buffer) => (this.#said = (this.#said + chunk.toString()).slice(-10_000)));
    this.#process = child;
    const untilMs = Date.now() + 60_000;
    while (child.exitCode === null && Date.now() < untilMs) {
      const answered = await this.query('select 1').catch(() => null);
      if (answered !== null) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`PostgreSQL does not start:\n${this.#said}`);
  }

  /** As when the machine loses its power: every process of it is gone at once. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    const family = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
    child.kill('SIGKILL');
    for (const pid of family.map(Number)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        // It went with its parent.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    await ended;
  }

  /** Makes a standby the primary, on a timeline of its own. */
  promote(): void {
    this.#run('pg_ctl', ['promote', '--wait']);
  }

  /** Ends it in order; what is on the disk stays. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    await ended;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  async #with<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const address = {
      host: '127.0.0.1',
      port: this.port,
      user: 'postgres',
      password: this.#password,
      database,
    };
    const client = new pg.Client({ ...address, connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await work(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  #makeData(): void {
    mkdirSync(this.#data, { mode: 0o700 });
    this.#own();
  }

  #own(): void {
    if (user === undefined) return;
    const done = spawnSync('chown', ['-R', `${user.uid}:${user.gid}`, this.#folder]);
    if (done.status !== 0) throw new Error('the files of a cluster could not be given to its user');
  }

  #run(program: 'initdb' | 'pg_ctl', args: readonly string[]): void {
    const done = spawnSync(path.join(native, 'bin', program), ['-D', this.#data, ...args], {
      encoding: 'utf8',
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    });
    if (done.status !== 0) throw new Error(`${program} failed:\n${done.stderr}${done.stdout}`);
  }
}
