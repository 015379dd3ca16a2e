import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
} from 'kysely';
import type { PoolClient } from 'pg';
import { invariant } from './errors.ts';
import type { Database } from './schema.gen.ts';

/** A statement that begins so is planned once for each connection: its text must never change under the same name. */
const prepared = /^\s*(?:select )?\/\* prepared ([a-z]+\.[a-zA-Z]+) \*\//;

/** One pooled connection inside one open transaction. It answers no query once the transaction has ended. */
class PinnedConnection implements DatabaseConnection {
  readonly #client: PoolClient;
  #ended = false;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  end(): void {
    this.#ended = true;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    // A query after the end would run in the next caller's transaction, perhaps another tenant's.
    invariant(!this.#ended, 'a query was sent after its transaction had ended');
    const name = prepared.exec(query.sql)?.[1];
    const result = await (name === undefined
      ? this.#client.query(query.sql, [...query.parameters])
      : this.#client.query({ name, text: query.sql, values: [...query.parameters] }));
    const rows = result.rows as R[];
    return result.rowCount === null || result.command === 'SELECT'
      ? { rows }
      : { rows, numAffectedRows: BigInt(result.rowCount) };
  }

  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not offered inside a scoped transaction');
  }
}

function pinnedDriver(connection: PinnedConnection): Driver {
  const refuse = (): Promise<never> =>
    Promise.reject(new Error('the scoped transaction is already open: nested transactions are not offered'));
  return {
    init: () => Promise.resolve(),
    acquireConnection: () => Promise.resolve(connection),
    beginTransaction: refuse,
    commitTransaction: refuse,
    rollbackTransaction: refuse,
    releaseConnection: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
  };
}

/** A query builder over one client's open transaction; `end` makes it refuse everything afterwards. */
export function openScope(client: PoolClient): { builder: Kysely<Database>; end: () => void } {
  const connection = new PinnedConnection(client);
  const builder = new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => pinnedDriver(connection),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });
  return { builder, end: () => connection.end() };
}
