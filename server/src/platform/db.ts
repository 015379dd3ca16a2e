import type { Kysely } from 'kysely';
import pg from 'pg';
import type { Clock } from './clock.ts';
import { openScope } from './dbTransaction.ts';
import { AppError, invariant } from './errors.ts';
import { isUuid } from './ids.ts';
import type { Logger } from './log.ts';
import type { DatabaseAccess } from './primary/addresses.ts';
import { soleAddress, type Primary } from './primary/primary.ts';
import type { Database } from './schema.gen.ts';

declare const tenantScope: unique symbol;
declare const systemScope: unique symbol;

/** An open transaction that sees exactly one tenant: row-level security filters what it reads and refuses what it writes. */
export type TenantTx = Kysely<Database> & { readonly [tenantScope]: true };
/** An open transaction of a platform job: it sees every tenant, so each use says why. */
export type SystemTx = Kysely<Database> & { readonly [systemScope]: true };
/** For the few functions that serve both kinds of transaction. */
export type AnyTx = TenantTx | SystemTx;

export interface Db {
  /**
   * Runs `fn` in one transaction scoped to the tenant and commits.
   * `fn` runs again after a serialisation failure or a deadlock: it must have no effect but through `tx`.
   */
  readonly inTenant: <T>(tenantId: string, fn: (tx: TenantTx) => Promise<T>) => Promise<T>;
  /** The same across tenants. `reason` names the job, as `feature.act`; it is shown in the database's activity list. */
  readonly inSystem: <T>(reason: string, fn: (tx: SystemTx) => Promise<T>) => Promise<T>;
  /** Calls `listener` once the transaction has committed; never when it has not. */
  readonly afterCommit: (tx: AnyTx, listener: () => void) => void;
  /** The tenant to which the transaction is scoped, or null for a platform job's. */
  readonly tenantOf: (tx: AnyTx) => string | null;
  /** Throws unless both roles reach the database. */
  readonly check: () => Promise<void>;
  /** Connections in use and callers waiting for one. */
  readonly load: () => { readonly busy: number; readonly waiting: number };
  readonly close: () => Promise<void>;
}

export interface DbOptions {
  readonly app: DatabaseAccess;
  readonly system: DatabaseAccess;
  readonly log: Logger;
  readonly clock: Clock;
  /** Which of several addresses is written to; the first one when absent. */
  readonly primary?: Primary;
  readonly poolSize?: number;
  readonly statementTimeoutMs?: number;
}

const attempts = 4;
const statementTimeoutMs = 15_000;
/** After the database's own time-out: what does not answer even then has gone without a word. */
const silenceMs = 5_000;
const retryableStates = new Set(['40001', '40P01']);
const int8Oid = 20;

/** SQLSTATE of an error of the database, or null. */
export function sqlState(error: unknown): string | null {
  return error instanceof pg.DatabaseError ? (error.code ?? null) : null;
}

/** True when the error is a broken unique constraint or index of that name (any, when no name is given). */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof pg.DatabaseError) || error.code !== '23505') return false;
  return constraint === undefined || error.constraint === constraint;
}

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') => {
    if (oid !== int8Oid) return pg.types.getTypeParser(oid, format) as (text: string) => unknown;
    return (text: string) => {
      const value = Number(text);
      invariant(
        Number.isSafeInteger(value),
        'a 64-bit number of the database does not fit a JavaScript number',
      );
      return value;
    };
  },
};

/** What the pool makes its connections with: each goes to the database that is written to at that moment. */
function clientsOf(access: DatabaseAccess, primary: Primary): NonNullable<pg.PoolConfig['Client']> {
  const open = function (config: pg.ClientConfig): pg.Client {
    return primary.open(access, config);
  };
  return open as unknown as NonNullable<pg.PoolConfig['Client']>;
}

function createPool(access: DatabaseAccess, options: DbOptions, name: string): pg.Pool {
  const primary = options.primary ?? soleAddress;
  const timeoutMs = options.statementTimeoutMs ?? statementTimeoutMs;
  const pool = new pg.Pool({
    connectionString: access.connectionString,
    Client: clientsOf(access, primary),
    verify: (client, done) => void primary.confirm(client).then(() => done(), done),
    ...(access.password === undefined ? {} : { password: access.password }),
    application_name: name,
    max: options.poolSize ?? 10,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: timeoutMs,
    query_timeout: timeoutMs + silenceMs,
    idle_in_transaction_session_timeout: 30_000,
    keepAlive: true,
    // Statements that do not wait for one another share a round trip; their order stays, and after a failure the rest fails too.
    pipeline: true,
    types,
  });
  // An idle connection may die with the server; the pool replaces it, the process must not fall.
  pool.on('error', (error) =>
    options.log.warn({ err: error, pool: name }, 'an idle database connection was lost'),
  );
  // One in use may die between two statements: the next statement fails, and that is where it is told.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

class Transactions implements Db {
  readonly #app: pg.Pool;
  readonly #system: pg.Pool;
  readonly #primary: Primary;
  readonly #clock: Clock;
  readonly #listeners = new WeakMap<object, (() => void)[]>();
  readonly #tenants = new WeakMap<object, string>();

  constructor(options: DbOptions) {
    this.#app = createPool(options.app, options, 'atlas-app');
    this.#system = createPool(options.system, options, 'atlas-system');
    this.#primary = options.primary ?? soleAddress;
    this.#clock = options.clock;
  }

  readonly inTenant = <T>(tenantId: string, fn: (tx: TenantTx) => Promise<T>): Promise<T> => {
    // The value becomes SQL text, so that opening the scope costs one round trip: nothing but a UUID may pass.
    invariant(isUuid(tenantId), 'a tenant scope needs a tenant id');
    const open = `begin; select set_config('atlas.tenant_id', '${tenantId}', true)`;
    return this.#retrying(this.#app, open, (tx) => {
      this.#tenants.set(tx, tenantId);
      return fn(tx as TenantTx);
    });
  };

  readonly inSystem = <T>(reason: string, fn: (tx: SystemTx) => Promise<T>): Promise<T> => {
    invariant(/^[a-z][a-zA-Z]*\.[a-z][a-zA-Z]*$/.test(reason), `"${reason}" does not name a platform job`);
    const open = `begin; set local application_name = 'atlas-system ${reason}'`;
    return this.#retrying(this.#system, open, fn as (tx: Kysely<Database>) => Promise<T>);
  };

  readonly afterCommit = (tx: AnyTx, listener: () => void): void => {
    const listeners = this.#listeners.get(tx);
    invariant(listeners !== undefined, 'afterCommit needs an open transaction');
    listeners.push(listener);
  };

  readonly tenantOf = (tx: AnyTx): string | null => this.#tenants.get(tx) ?? null;

  readonly check = async (): Promise<void> => {
    await this.#primary.found();
    await Promise.all([this.#app.query('select 1'), this.#system.query('select 1')]);
  };

  readonly load = (): { busy: number; waiting: number } => ({
    busy: this.#app.totalCount - this.#app.idleCount,
    waiting: this.#app.waitingCount,
  });

  readonly close = async (): Promise<void> => {
    await Promise.all([this.#app.end(), this.#system.end()]);
  };

  async #retrying<T>(pool: pg.Pool, open: string, fn: (tx: Kysely<Database>) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(pool, open, fn);
      } catch (error) {
        if (attempt === attempts || !retryableStates.has(sqlState(error) ?? '')) throw error;
        await this.#clock.sleep(Math.random() * 10 * 2 ** attempt);
      }
    }
  }

  async #once<T>(pool: pg.Pool, open: string, fn: (tx: Kysely<Database>) => Promise<T>): Promise<T> {
    const client = await this.#connect(pool);
    const { builder, end } = openScope(client);
    const listeners: (() => void)[] = [];
    this.#listeners.set(builder, listeners);
    let broken: Error | undefined;
    try {
      await client.query(open);
      const value = await fn(builder);
      end();
      await commit(client);
      for (const listener of listeners) listener();
      return value;
    } catch (error) {
      end();
      broken = await client.query('rollback').then(
        () => undefined,
        (failure: unknown) => (failure instanceof Error ? failure : new Error(String(failure))),
      );
      throw error;
    } finally {
      this.#listeners.delete(builder);
      client.release(broken);
    }
  }

  async #connect(pool: pg.Pool): Promise<pg.PoolClient> {
    try {
      await this.#primary.found();
      return await pool.connect();
    } catch (error) {
      throw new AppError('overloaded', {
        detail: 'the database did not give a connection in time',
        cause: error,
        retryAfterS: 2,
      });
    }
  }
}

/** Throws unless the transaction is committed wherever it must be. */
async function commit(client: pg.PoolClient): Promise<void> {
  let warning: string | null = null;
  const hear = ({ code, message }: { code?: string | undefined; message?: string | undefined }): void => {
    if (code?.startsWith('01') === true) warning = message ?? code;
  };
  client.on('notice', hear);
  try {
    const { command } = await client.query('commit');
    // PostgreSQL answers ROLLBACK to the commit of a transaction in which a statement failed and was swallowed.
    invariant(command === 'COMMIT', 'a failed statement was swallowed inside a transaction');
  } finally {
    client.off('notice', hear);
  }
  // It answers COMMIT with a warning when its wait for a standby was broken off: a failover may lose that transaction.
  if (warning !== null)
    throw new AppError('overloaded', {
      detail: 'no standby has confirmed in time',
      cause: new Error(warning),
      retryAfterS: 2,
    });
}

/** Opens both pools; connections are made when first needed. */
export function createDb(options: DbOptions): Db {
  return new Transactions(options);
}
