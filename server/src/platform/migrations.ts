import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import type { DatabaseAccess } from './primary/addresses.ts';
import type { Primary } from './primary/primary.ts';

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

/** The connection is that of the owner of the database. */
export interface MigrateOptions extends DatabaseAccess {
  /** Which of several addresses is written to; the first one when absent. */
  readonly primary?: Primary;
  /** Folder of `0001_name.sql` files. */
  readonly directory: string;
  readonly onApplied?: (name: string) => void;
}

/** The schema and the files disagree; the message says how. */
export class MigrationError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'MigrationError';
  }
}

// One number for all installations: migrations of one database wait for each other (advisory locks are per database).
const lockKey = 4_118_200_001;

async function readMigrations(directory: string): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name)).sort();
  if (names.length === 0) throw new MigrationError(`no migration in ${directory}`);
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(path.join(directory, name), 'utf8');
      return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

function pendingOf(all: Migration[], applied: Map<string, string>): Migration[] {
  const known = new Set(all.map((migration) => migration.name));
  for (const name of applied.keys()) {
    if (!known.has(name)) {
      throw new MigrationError(
        `${name} is applied but its file is gone: this program is older than the database`,
      );
    }
  }
  const last = [...applied.keys()].sort().at(-1) ?? '';
  for (const { name, sha256 } of all) {
    const recorded = applied.get(name);
    if (recorded !== undefined && recorded !== sha256) {
      throw new MigrationError(`${name} was changed after it was applied: write a new migration instead`);
    }
    if (recorded === undefined && name < last) {
      throw new MigrationError(
        `${name} comes before ${last}, which is applied already: give it a higher number`,
      );
    }
  }
  return all.filter(({ name }) => !applied.has(name));
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('begin');
  try {
    await client.query(migration.sql);
    await client.query('insert into schema_migrations (name, sha256) values ($1, $2)', [
      migration.name,
      migration.sha256,
    ]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw new MigrationError(
      `${migration.name} failed: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
}

/**
 * Brings the schema to the newest file: each file once, in order, in its own transaction, its checksum recorded.
 * Returns the names that were applied now. Throws MigrationError, leaving every finished file applied.
 */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const all = await readMigrations(options.directory);
  const { connectionString, primary } = options;
  await primary?.found();
  const config: pg.ClientConfig = {
    ...(options.password === undefined ? {} : { password: options.password }),
    application_name: 'atlas-migrate',
  };
  const client = primary?.open(options, config) ?? new pg.Client({ ...config, connectionString });
  await client.connect();
  try {
    await primary?.confirm(client);
    await client.query('select pg_advisory_lock($1)', [lockKey]);
    await client.query(
      `create table if not exists schema_migrations (
        name text primary key, sha256 text not null, applied_at timestamptz not null default now())`,
    );
    const { rows } = await client.query<{ name: string; sha256: string }>(
      'select name, sha256 from schema_migrations',
    );
    const pending = pendingOf(all, new Map(rows.map((row) => [row.name, row.sha256])));
    for (const migration of pending) {
      await apply(client, migration);
      options.onApplied?.(migration.name);
    }
    return pending.map(({ name }) => name);
  } finally {
    await client.end();
  }
}
