import { EventEmitter } from 'node:events';
import real from 'pg';
import { loop, never, type Program } from './loop.ts';

type Result = real.QueryResult<real.QueryResultRow>;

/** How the database misbehaves; the world sets it. */
export const databaseFaults = {
  /** Probability that a statement fails because its connection has gone. */
  statementLost: 0,
  /** Probability that a commit fails as a loser against another transaction. */
  serialisation: 0,
  /** Probability that a commit does not reach the database any more. */
  commitLost: 0,
  /** Probability that the answer to a commit is lost, though it has happened. */
  commitUnsure: 0,
  /** Probability that it takes long until somebody gets a connection. */
  starved: 0,
  /** Probability that the program dies at a statement, or right after a commit. */
  death: 0,
};

/** What was read since the last change: the same question to the same state has the same answer. */
const known = new Map<string, Result>();

const changes = /\b(insert|update|delete|set_config|pg_notify|nextval|pg_try_advisory_lock|truncate|lock)\b/i;
const locks = /\b(for (no key )?(update|share)|advisory)\b/i;
const volatile =
  /\b(now\(\)|clock_timestamp|random\(\)|for update|for no key update|pg_locks|pg_snapshot)\b/i;

/** One transaction at a time: the loop decides who is next, not the operating system. */
class Turnstile {
  #holder: object | null = null;
  #waiting: { readonly program: Program | undefined; readonly enter: () => void }[] = [];

  async enter(holder: object): Promise<void> {
    if (this.#holder !== null)
      await new Promise<void>((resolve) => {
        this.#waiting.push({
          program: loop.program,
          enter: () => {
            this.#holder = holder;
            resolve();
          },
        });
      });
    else this.#holder = holder;
  }

  leave(holder: object): void {
    if (this.#holder !== holder) return;
    this.#holder = null;
    this.#waiting = this.#waiting.filter(({ program }) => program?.alive !== false);
    if (this.#waiting.length === 0) return;
    const [next] = this.#waiting.splice(loop.chance.between(0, this.#waiting.length - 1), 1);
    next?.enter();
  }

  get waiting(): number {
    return this.#waiting.length;
  }
}

const turnstile = new Turnstile();

/** A connection that stays open from one simulated program to the next; one transaction uses it at a time. */
interface Backend {
  readonly client: real.Client;
  /** How the transaction began that has read only, changed and locked nothing, and was left open; null when there is none. */
  left: string | null;
}

const backends = new Map<string, Promise<Backend>>();

function backendOf(connectionString: string, types?: real.CustomTypesConfig): Promise<Backend> {
  const open = backends.get(connectionString);
  if (open !== undefined) return open;
  const made = loop.outside(async () => {
    const client = new real.Client({
      connectionString,
      pipeline: true,
      ...(types === undefined ? {} : { types }),
    });
    client.on('error', () => undefined);
    await client.connect();
    return { client, left: null };
  });
  backends.set(connectionString, made);
  return made;
}

/** Names of statements with values, so that the database plans each text once. */
const names = new Map<string, string>();

function nameOf(text: string): string {
  const name = names.get(text) ?? `s${names.size}`;
  names.set(text, name);
  return name;
}

/** Ends every connection, so that the database can be copied or dropped. */
export async function closeBackends(): Promise<void> {
  const all = [...backends.values()];
  backends.clear();
  known.clear();
  for (const backend of all) await (await backend).client.end();
}

function lost(): Error {
  return new Error('Connection terminated unexpectedly');
}

class SimulatedPoolClient extends EventEmitter {
  readonly #connectionString: string;
  readonly #types: real.CustomTypesConfig | undefined;
  readonly #program = loop.program;
  #opening: string | null = null;
  #begun = false;
  #wrote = false;
  /** The database must be told of the end: something was changed, locked, or has failed. */
  #binds = false;
  #gone = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(connectionString: string, types: real.CustomTypesConfig | undefined) {
    super();
    this.#connectionString = connectionString;
    this.#types = types;
    this.#program?.atDeath.push(() => void this.#abandon());
  }

  /** One statement after the other, as a connection does, also when several were asked at once. */
  query(asked: string | real.QueryConfig, given: readonly unknown[] = []): Promise<Partial<Result>> {
    const answer = this.#turn.then(() => this.#query(asked, given));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async #query(asked: string | real.QueryConfig, given: readonly unknown[]): Promise<Partial<Result>> {
    const text = typeof asked === 'string' ? asked : asked.text;
    const values = typeof asked === 'string' ? given : ((asked.values ?? []) as unknown[]);
    if (this.#program?.alive === false) await never();
    if (this.#gone) throw lost();
    if (this.#program !== undefined && loop.chance.happens(databaseFaults.death))
      await this.#die(this.#program);
    if (/^begin\b/i.test(text)) {
      this.#opening = text;
      return { command: 'BEGIN', rows: [] };
    }
    if (text === 'commit') return this.#commit();
    if (text === 'rollback') return this.#rollback();
    if (loop.chance.happens(databaseFaults.statementLost)) {
      await this.#rollback();
      this.#gone = true;
      throw lost();
    }
    return this.#ask(text, values);
  }

  async #ask(text: string, values: readonly unknown[]): Promise<Partial<Result>> {
    const isChange = changes.test(text);
    const isStable = !isChange && !volatile.test(text);
    const key = `${this.#connectionString} ${this.#opening} ${text} ${JSON.stringify(values)}`;
    const answer = isStable && !this.#wrote ? known.get(key) : undefined;
    if (answer !== undefined) return answer;
    this.#wrote ||= isChange;
    this.#binds ||= isChange || locks.test(text);
    const result = await this.#send(text, values).catch((error: unknown) => {
      this.#binds = true;
      throw error;
    });
    if (isStable && !this.#wrote) known.set(key, result);
    return result;
  }

  /**
   * What must be said before the first question of a transaction. One that only read is ended by the next one that begins
   * otherwise: most of them are as short as one question.
   */
  #opener(backend: Backend): string | null {
    if (this.#begun) return null;
    this.#begun = true;
    const opening = this.#opening ?? 'begin';
    const { left } = backend;
    backend.left = null;
    if (left === opening) return null;
    return left === null ? opening : `commit; ${opening}`;
  }

  /** Ends what was begun, or leaves it to the next one when nothing depends on its end. */
  async #end(how: 'commit' | 'rollback'): Promise<Partial<Result>> {
    if (!this.#begun) return { command: how.toUpperCase(), rows: [] };
    if (this.#binds) {
      const result = await this.#send(how);
      this.#begun = false;
      return result;
    }
    this.#begun = false;
    const backend = await backendOf(this.#connectionString, this.#types);
    backend.left = this.#opening ?? 'begin';
    return { command: how.toUpperCase(), rows: [] };
  }

  async #send(text: string, values: readonly unknown[] = []): Promise<Result> {
    const backend = await backendOf(this.#connectionString, this.#types);
    const opener = this.#opener(backend);
    const { client } = backend;
    return loop.outside(async () => {
      const opened = opener === null ? null : client.query(opener);
      const answered =
        values.length === 0
          ? client.query(text)
          : client.query({ name: nameOf(text), text, values: values as unknown[] });
      const [, answer] = await Promise.all([opened, answered]);
      return answer;
    });
  }

  async #die(program: Program): Promise<never> {
    loop.after(0, () => loop.kill(program), null);
    return never();
  }

  async #commit(): Promise<Partial<Result>> {
    if (this.#wrote && loop.chance.happens(databaseFaults.serialisation)) {
      await this.#rollback();
      const error = new real.DatabaseError('could not serialize access', 0, 'error');
      error.code = '40001';
      throw error;
    }
    if (this.#wrote && loop.chance.happens(databaseFaults.commitLost)) {
      await this.#rollback();
      this.#gone = true;
      throw lost();
    }
    const result = await this.#end('commit');
    if (this.#wrote) known.clear();
    if (this.#wrote && this.#program !== undefined && loop.chance.happens(databaseFaults.death))
      await this.#die(this.#program);
    if (this.#wrote && loop.chance.happens(databaseFaults.commitUnsure)) {
      this.#gone = true;
      throw lost();
    }
    return result;
  }

  async #rollback(): Promise<Partial<Result>> {
    await this.#end('rollback');
    this.#wrote = false;
    return { command: 'ROLLBACK', rows: [] };
  }

  release(): void {
    this.#gone = true;
    turnstile.leave(this);
  }

  /** The program died: the database ends what it had begun, and lets the next one in. */
  async #abandon(): Promise<void> {
    if (this.#gone) return;
    this.#gone = true;
    await this.#end('rollback');
    turnstile.leave(this);
  }
}

class SimulatedPool extends EventEmitter {
  readonly #options: real.PoolConfig;
  readonly totalCount = 1;
  readonly idleCount = 0;

  constructor(options: real.PoolConfig) {
    super();
    this.#options = options;
  }

  get waitingCount(): number {
    return turnstile.waiting;
  }

  async connect(): Promise<SimulatedPoolClient> {
    const client = new SimulatedPoolClient(this.#options.connectionString ?? '', this.#options.types);
    const isStarved = loop.chance.happens(databaseFaults.starved);
    await loop.sleep(loop.chance.fraction() * (isStarved ? 4000 : 2));
    await turnstile.enter(client);
    return client;
  }

  async query(text: string): Promise<Partial<Result>> {
    const client = await this.connect();
    try {
      return await client.query(text);
    } finally {
      await client.query('rollback');
      client.release();
    }
  }

  end(): Promise<void> {
    return Promise.resolve();
  }
}

/** A session of its own, for locks that live with it. Wake-ups are not brought: whoever waits for one polls as well. */
class SimulatedClient extends EventEmitter {
  readonly #connectionString: string;
  readonly #program = loop.program;
  #client: Promise<real.Client> | undefined;

  constructor(options: { readonly connectionString: string }) {
    super();
    this.#connectionString = options.connectionString;
  }

  async connect(): Promise<void> {
    const client = new real.Client({ connectionString: this.#connectionString });
    // The database is dropped under the sessions of dead programs.
    client.on('error', () => undefined);
    this.#client = loop.outside(async () => {
      await client.connect();
      return client;
    });
    this.#program?.atDeath.push(() => void loop.outside(() => client.end()));
    await this.#client;
  }

  async query(text: string): Promise<Partial<Result>> {
    if (this.#program?.alive === false) await never();
    const client = await this.#client;
    if (client === undefined) throw lost();
    if (/^listen/i.test(text)) return { rows: [] };
    return loop.outside(() => client.query(text));
  }

  async end(): Promise<void> {
    const client = await this.#client;
    this.#client = undefined;
    if (client !== undefined) await loop.outside(() => client.end());
  }
}

export default {
  ...real,
  types: real.types,
  DatabaseError: real.DatabaseError,
  Pool: SimulatedPool,
  Client: SimulatedClient,
};
