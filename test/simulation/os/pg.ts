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
  /** Probability that the answer to a commit is lost, though it has happened. */
  commitUnsure: 0,
  /** Probability that the program dies at a statement, or right after a commit. */
  death: 0,
};

/** What was read since the last change: the same question to the same state has the same answer. */
const known = new Map<string, Result>();

const changes = /\b(insert|update|delete|set_config|pg_notify|nextval|pg_try_advisory_lock|truncate|lock)\b/i;
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
const backends = new Map<string, Promise<real.Client>>();

/** Connections that stay open from one simulated program to the next; one transaction uses one at a time. */
function backendOf(connectionString: string, types?: real.CustomTypesConfig): Promise<real.Client> {
  const open = backends.get(connectionString);
  if (open !== undefined) return open;
  const made = loop.outside(async () => {
    const client = new real.Client({ connectionString, ...(types === undefined ? {} : { types }) });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  });
  backends.set(connectionString, made);
  return made;
}

/** Ends every connection, so that the database can be copied or dropped. */
export async function closeBackends(): Promise<void> {
  const all = [...backends.values()];
  backends.clear();
  known.clear();
  for (const backend of all) await (await backend).end();
}

function lost(): Error {
  return new Error('Connection terminated unexpectedly');
}

class SimulatedPoolClient {
  readonly #connectionString: string;
  readonly #types: real.CustomTypesConfig | undefined;
  readonly #program = loop.program;
  #opening: string | null = null;
  #begun = false;
  #wrote = false;
  #gone = false;

  constructor(connectionString: string, types: real.CustomTypesConfig | undefined) {
    this.#connectionString = connectionString;
    this.#types = types;
    this.#program?.atDeath.push(() => void this.#abandon());
  }

  async query(asked: string | real.QueryConfig, given: readonly unknown[] = []): Promise<Partial<Result>> {
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
    if (!this.#begun) await this.#send(this.#opening ?? 'begin');
    this.#begun = true;
    this.#wrote ||= isChange;
    const result = await this.#send(text, values);
    if (isStable && !this.#wrote) known.set(key, result);
    return result;
  }

  async #send(text: string, values: readonly unknown[] = []): Promise<Result> {
    const client = await backendOf(this.#connectionString, this.#types);
    return loop.outside(() =>
      values.length === 0 ? client.query(text) : client.query(text, values as unknown[]),
    );
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
    const result = this.#begun ? await this.#send('commit') : { command: 'COMMIT', rows: [] };
    this.#begun = false;
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
    if (this.#begun) await this.#send('rollback');
    this.#begun = false;
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
    if (this.#begun) {
      this.#begun = false;
      const client = await backendOf(this.#connectionString, this.#types);
      await loop.outside(() => client.query('rollback'));
    }
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
    await loop.sleep(loop.chance.fraction() * 2);
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
