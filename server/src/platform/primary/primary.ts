import pg from 'pg';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { addressesOf, type DatabaseAccess } from './addresses.ts';
import { createPost, cut, timelineHere, type Post } from './look.ts';
import {
  choosePrimary,
  describeDatabase,
  type Choice,
  type DatabaseReport,
  type SeenTimeline,
  type Sight,
} from './primary.policy.ts';
import type { TimelineMemory } from './timelineMemory.ts';

/** The one database of several addresses that is written to, found again after a failover. */
export interface Primary {
  /** Resolves when a database that may be written to is known. Throws overloaded when none is found in time. */
  readonly found: () => Promise<void>;
  /** A client, not connected yet, of that database. Its connection is cut when another one takes over. */
  readonly open: (access: DatabaseAccess, config: pg.ClientConfig) => pg.Client;
  /** Throws, and with that refuses the fresh connection, when what answers is not the database that was chosen. */
  readonly confirm: (client: pg.ClientBase) => Promise<void>;
  /** How every address stands; null when there is only one. */
  readonly report: () => DatabaseReport | null;
  readonly stop: () => Promise<void>;
}

export interface PrimaryOptions {
  /** The role that looks: any that may connect. */
  readonly access: DatabaseAccess;
  readonly memory: TimelineMemory;
  readonly clock: Clock;
  readonly log: Logger;
}

const lookEveryMs = 1_000;
const patienceMs = 5_000;

/** With one address there is nothing to choose: PostgreSQL itself refuses writes on a standby. */
export const soleAddress: Primary = {
  found: () => Promise.resolve(),
  open: ({ connectionString }, config) => new pg.Client({ ...config, connectionString }),
  confirm: () => Promise.resolve(),
  report: () => null,
  stop: () => Promise.resolve(),
};

class WatchedPrimary implements Primary {
  readonly #options: PrimaryOptions;
  readonly #posts: readonly Post[];
  readonly #stopping = new AbortController();
  readonly #clients = new Set<pg.Client>();
  #sights: readonly Sight[] = [];
  #choice: Choice = { index: null, refused: new Map() };
  #seen: SeenTimeline | null = null;
  /** Fires when a database that may be written to is known; whoever waits for one shares it. */
  #arrival = new AbortController();
  #said = '';
  #running: Promise<void> = Promise.resolve();

  constructor(options: PrimaryOptions) {
    this.#options = options;
    this.#posts = addressesOf(options.access).map((one) => createPost(one));
  }

  /** Looks once, then keeps looking until stopped. */
  async start(): Promise<void> {
    this.#seen = await this.#options.memory.read();
    await this.#look();
    this.#running = this.#watch();
  }

  readonly found = async (): Promise<void> => {
    if (this.#choice.index !== null) return;
    const { clock } = this.#options;
    await clock.sleep(patienceMs, AbortSignal.any([this.#arrival.signal, this.#stopping.signal]));
    if (this.#choice.index === null)
      throw new AppError('overloaded', { detail: 'no database accepts writes', retryAfterS: 2 });
  };

  readonly open = (access: DatabaseAccess, config: pg.ClientConfig): pg.Client => {
    const connectionString = addressesOf(access)[this.#choice.index ?? 0] ?? access.connectionString;
    const client = new pg.Client({ ...config, connectionString });
    this.#clients.add(client);
    client.once('end', () => this.#clients.delete(client));
    return client;
  };

  readonly confirm = async (client: pg.ClientBase): Promise<void> => {
    const timeline = await timelineHere(client);
    if (timeline === null || timeline !== this.#seen?.timeline || !this.#clients.has(client as pg.Client))
      throw new Error('what answers is not the database that is written to');
  };

  readonly report = (): DatabaseReport =>
    describeDatabase(
      this.#posts.map(({ name }) => name),
      this.#sights,
      this.#choice,
    );

  readonly stop = async (): Promise<void> => {
    this.#stopping.abort();
    await this.#running;
    for (const post of this.#posts) post.close();
  };

  async #watch(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#stopping.signal.aborted) {
      await clock.sleep(lookEveryMs, this.#stopping.signal);
      await this.#look().catch((error: unknown) =>
        log.error({ err: error }, 'the database that is written to could not be chosen'),
      );
    }
  }

  async #look(): Promise<void> {
    const sights = await Promise.all(this.#posts.map((post) => post.look()));
    const current = this.#choice.index;
    const choice = choosePrimary({ sights, seen: this.#seen, current });
    this.#sights = sights;
    const index = choice.index ?? this.#absentPrimary(sights, choice);
    const chosen = index === null ? undefined : sights[index];
    // Before the first write: whoever forgets a timeline believes its predecessor.
    if (chosen?.kind === 'primary') await this.#remember(chosen);
    this.#choice = { ...choice, index };
    if (index !== current) this.#move();
    if (index !== null) {
      this.#arrival.abort();
      this.#arrival = new AbortController();
    }
    this.#say();
  }

  /** A primary that does not answer stays the one to try, as long as nobody else may be written to. */
  #absentPrimary(sights: readonly Sight[], { refused }: Choice): number | null {
    const { index } = this.#choice;
    return index !== null && sights[index]?.kind === 'away' && !refused.has(index) ? index : null;
  }

  async #remember({ systemId, timeline }: SeenTimeline): Promise<void> {
    if (this.#seen?.systemId === systemId && this.#seen.timeline === timeline) return;
    await this.#options.memory.keep({ systemId, timeline });
    const isNewer = this.#seen !== null;
    this.#seen = { systemId, timeline };
    // The same address may have been promoted under our connections.
    if (isNewer) this.#move();
  }

  /** Nobody goes on talking to a database that is not written to any more. */
  #move(): void {
    const clients = [...this.#clients];
    this.#clients.clear();
    for (const client of clients) cut(client);
  }

  #say(): void {
    const { log } = this.#options;
    const { addresses, warnings } = this.report();
    const plain = addresses.map(({ address, role, why }) => ({ address, role, why }));
    const said = JSON.stringify([plain.map(({ address, role }) => [address, role]), warnings]);
    if (said === this.#said) return;
    this.#said = said;
    if (warnings.length > 0) log.warn({ addresses: plain, warnings }, 'the database needs attention');
    else log.info({ addresses: plain }, 'the database is served and followed');
  }
}

/** Looks at every address once, and remembers nothing. */
export async function inspectDatabase(
  access: DatabaseAccess,
  memory: TimelineMemory,
): Promise<DatabaseReport> {
  const posts = addressesOf(access).map((one) => createPost(one));
  const sights = await Promise.all(posts.map((post) => post.look()));
  for (const post of posts) post.close();
  const seen = posts.length === 1 ? null : await memory.read();
  const choice = choosePrimary({ sights, seen, current: null });
  return describeDatabase(
    posts.map(({ name }) => name),
    sights,
    choice,
  );
}

/** Finds the database that may be written to, and watches over it when there are several addresses. */
export async function findPrimary(options: PrimaryOptions): Promise<Primary> {
  if (addressesOf(options.access).length === 1) return soleAddress;
  const primary = new WatchedPrimary(options);
  await primary.start();
  return primary;
}
