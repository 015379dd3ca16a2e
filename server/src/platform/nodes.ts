import { sql } from 'kysely';
import type { Clock } from './clock.ts';
import type { Db } from './db.ts';
import type { NewId } from './ids.ts';
import type { Logger } from './log.ts';
import type { JsonObject } from './schema.gen.ts';
import { keepSession, type SessionAccess } from './session.ts';

/** What one node says to the others: a topic and identifiers, never the matter itself. */
interface Word {
  readonly topic: string;
  readonly payload: JsonObject;
}

/**
 * Words between the server's processes, over PostgreSQL's notifications. They are hints: a word may be lost, come twice
 * or late, and whoever hears one reads the truth from the tables. Whoever missed some is told so by `missed`.
 */
export interface Nodes {
  /** Identifier of this process, new at each start. */
  readonly id: string;
  /** Tells the other nodes; this one does not hear it. Never throws. */
  readonly tell: (topic: string, payload: JsonObject) => void;
  readonly hear: (topic: string, listener: (payload: JsonObject) => void) => void;
  /** Called when words may have been missed: at the start, and after a lost session. */
  readonly missed: (listener: () => void) => void;
  readonly start: () => void;
  readonly stop: () => Promise<void>;
}

interface NodesOptions {
  readonly db: Db;
  readonly log: Logger;
  readonly clock: Clock;
  readonly newId: NewId;
  /** Connection of the system role, for the session that listens. */
  readonly session: SessionAccess;
}

const channel = 'atlas_nodes';
/** Words of this time leave together: each notification takes a lock that all committing transactions share. */
const gatherMs = 10;
/** PostgreSQL carries less than 8,000 bytes in one notification. */
const maxBytes = 7_000;
const retryMs = 1_000;
/** Words kept while the database is away; older ones are lost, and `missed` is what makes up for it. */
const maxWaiting = 10_000;

/** Cuts words into notifications that PostgreSQL carries; a word that fits none alone is left out. */
export function packWords(from: string, words: readonly Word[]): string[] {
  const packed: string[] = [];
  let [parts, bytes] = [[] as string[], 0];
  const close = (): void => {
    if (parts.length > 0) packed.push(`{"from":${JSON.stringify(from)},"words":[${parts.join(',')}]}`);
    [parts, bytes] = [[], 0];
  };
  for (const word of words) {
    const text = JSON.stringify(word);
    const size = Buffer.byteLength(text) + 1;
    if (size > maxBytes) continue;
    if (bytes + size > maxBytes) close();
    parts.push(text);
    bytes += size;
  }
  close();
  return packed;
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

class PostgresNodes implements Nodes {
  readonly id: string;
  readonly #options: NodesOptions;
  readonly #listeners = new Map<string, ((payload: JsonObject) => void)[]>();
  readonly #onMissed: (() => void)[] = [];
  readonly #stopping = new AbortController();
  #waiting: Word[] = [];
  #sending: Promise<void> = Promise.resolve();
  #running: Promise<void> | undefined;

  constructor(options: NodesOptions) {
    this.#options = options;
    this.id = options.newId();
  }

  readonly tell = (topic: string, payload: JsonObject): void => {
    this.#waiting.push({ topic, payload });
    if (this.#waiting.length === 1) this.#sendAfter(gatherMs);
  };

  readonly hear = (topic: string, listener: (payload: JsonObject) => void): void => {
    this.#listeners.set(topic, [...(this.#listeners.get(topic) ?? []), listener]);
  };

  readonly missed = (listener: () => void): void => {
    this.#onMissed.push(listener);
  };

  readonly start = (): void => {
    this.#running ??= this.#run();
  };

  readonly stop = async (): Promise<void> => {
    this.#stopping.abort();
    await this.#sending;
    await this.#running;
  };

  #sendAfter(waitMs: number): void {
    const { clock, log } = this.#options;
    this.#sending = clock
      .sleep(waitMs, this.#stopping.signal)
      .then(() => this.#send(this.#waiting.splice(0)))
      .catch((error: unknown) => log.warn({ err: error }, 'other nodes were not told; they are told again'));
  }

  async #send(words: Word[]): Promise<void> {
    try {
      await this.#notify(packWords(this.id, words));
    } catch (error) {
      const again = [...words, ...this.#waiting].slice(-maxWaiting);
      this.#waiting = again;
      if (!this.#stopping.signal.aborted) this.#sendAfter(retryMs);
      throw error;
    }
  }

  async #notify(packed: readonly string[]): Promise<void> {
    if (packed.length === 0) return;
    await this.#options.db.inSystem('nodes.tell', (tx) =>
      sql`select pg_notify(${channel}, x) from unnest(${packed}::text[]) x`.execute(tx),
    );
  }

  #run(): Promise<void> {
    const { clock, log, session } = this.#options;
    const stopping = this.#stopping.signal;
    return keepSession({
      ...{ access: session, name: 'atlas-nodes', clock, log, retryMs, stopping, channels: [channel] },
      heard: (_channel, payload) => this.#receive(payload),
      live: async (_client, lost) => {
        for (const listener of this.#onMissed) listener();
        await untilAborted(AbortSignal.any([lost, stopping]));
        if (!stopping.aborted) lost.throwIfAborted();
      },
    });
  }

  #receive(text: string): void {
    const { log } = this.#options;
    try {
      const { from, words } = JSON.parse(text) as { from: string; words: Word[] };
      if (from === this.id) return;
      for (const { topic, payload } of words) {
        for (const listener of this.#listeners.get(topic) ?? []) listener(payload);
      }
    } catch (error) {
      log.warn({ err: error }, 'a word of another node was not understood');
    }
  }
}

export function createNodes(options: NodesOptions): Nodes {
  return new PostgresNodes(options);
}
