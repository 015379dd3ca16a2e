import { sql, type Selectable } from 'kysely';
import type pg from 'pg';
import type { Clock } from './clock.ts';
import type { AnyTx, Db, SystemTx } from './db.ts';
import type { Logger } from './log.ts';
import type { Database, JsonObject } from './schema.gen.ts';
import { keepSession, type SessionAccess } from './session.ts';

/** A committed row of the outbox. */
export interface OutboxMessage {
  readonly id: number;
  readonly tenantId: string;
  readonly topic: string;
  readonly payload: JsonObject;
  readonly createdAt: Date;
}

/** What a feature says; it is heard only if the transaction commits. */
export interface OutboxDraft {
  readonly topic: string;
  readonly payload: JsonObject;
  /** Needed in a system transaction; in a tenant's one it is that tenant. */
  readonly tenantId?: string;
}

export interface OutboxSubscriber {
  readonly name: string;
  readonly hears: (topic: string) => boolean;
  /** Called before the rows are removed, at least once: must bear a repetition. For queues and other systems. */
  readonly deliver?: (messages: readonly OutboxMessage[]) => Promise<void>;
  /** Called in the transaction that removes the rows: exactly once. */
  readonly record?: (tx: SystemTx, messages: readonly OutboxMessage[]) => Promise<void>;
  /** Called after that transaction has committed. */
  readonly afterwards?: () => void;
}

export interface Outbox {
  /** Writes messages in the caller's transaction, and wakes the relay once it has committed. */
  readonly publish: (tx: AnyTx, drafts: readonly OutboxDraft[]) => Promise<void>;
  readonly subscribe: (subscriber: OutboxSubscriber) => void;
  /** Relays until stopped; one process of all does the work, the others wait to take over. */
  readonly start: () => void;
  readonly stop: () => Promise<void>;
}

interface OutboxOptions {
  readonly db: Db;
  readonly log: Logger;
  readonly clock: Clock;
  /** Connection of the system role, for the relay's own session: its lock and its wake-ups. */
  readonly session: SessionAccess;
}

const channel = 'atlas_outbox';
const leaderLock = 4_118_200_002;
const batchSize = 1000;
const pollMs = 1000;
// At most one NOTIFY in this time: each takes a lock that all committing transactions share.
const notifyEveryMs = 25;

class OutboxRelay implements Outbox {
  readonly #options: OutboxOptions;
  readonly #subscribers: OutboxSubscriber[] = [];
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  #notifying = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  readonly subscribe = (subscriber: OutboxSubscriber): void => {
    this.#subscribers.push(subscriber);
  };

  readonly publish = async (tx: AnyTx, drafts: readonly OutboxDraft[]): Promise<void> => {
    if (drafts.length === 0) return;
    await sql`
      /* prepared outbox.publish */
      insert into outbox (tenant_id, topic, payload)
      select coalesce(d.tenant_id, atlas_current_tenant()), d.topic, d.payload
      from unnest(
        ${drafts.map(({ tenantId }) => tenantId ?? null)}::uuid[],
        ${drafts.map(({ topic }) => topic)}::text[],
        ${drafts.map(({ payload }) => JSON.stringify(payload))}::jsonb[]
      ) with ordinality as d (tenant_id, topic, payload, place)
      order by d.place
    `.execute(tx);
    this.#options.db.afterCommit(tx, () => this.#announce());
  };

  readonly start = (): void => {
    this.#running ??= this.#run();
  };

  readonly stop = async (): Promise<void> => {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#running;
  };

  #announce(): void {
    this.#wake.abort();
    if (this.#notifying) return;
    this.#notifying = true;
    const { clock, db, log } = this.#options;
    void clock
      .sleep(notifyEveryMs, this.#stopping.signal)
      .then(() => {
        this.#notifying = false;
        return db.inSystem('outbox.notify', (tx) => sql`select pg_notify(${channel}, '')`.execute(tx));
      })
      // Only the wake-up is lost: the relay polls.
      .catch((error: unknown) => log.debug({ err: error }, 'the wake-up of the relay was not sent'));
  }

  #run(): Promise<void> {
    const { clock, log, session } = this.#options;
    return keepSession({
      ...{ access: session, name: 'atlas-relay', clock, log, retryMs: pollMs },
      stopping: this.#stopping.signal,
      channels: [channel],
      heard: () => this.#wake.abort(),
      live: (client, lost) => this.#live(client, lost),
    });
  }

  /** The advisory lock that makes this process the relay lives and dies with the session. */
  async #live(client: pg.Client, lost: AbortSignal): Promise<void> {
    lost.addEventListener('abort', () => this.#wake.abort(), { once: true });
    while (!this.#stopping.signal.aborted) {
      lost.throwIfAborted();
      const { rows } = await client.query<{ leads: boolean }>(
        `select exists (select 1 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) or pg_try_advisory_lock(${leaderLock}) as leads`,
      );
      if (rows[0]?.leads === true) await this.#drain();
      await this.#pause();
    }
  }

  async #pause(): Promise<void> {
    await this.#options.clock.sleep(pollMs, this.#wake.signal);
    if (!this.#stopping.signal.aborted) this.#wake = new AbortController();
  }

  async #drain(): Promise<void> {
    for (;;) {
      const messages = await this.#options.db.inSystem('outbox.read', readBatch);
      if (messages.length === 0) return;
      await this.#relay(messages);
      if (messages.length < batchSize) return;
    }
  }

  async #relay(messages: readonly OutboxMessage[]): Promise<void> {
    const audience = this.#subscribers
      .map((subscriber) => ({ subscriber, heard: messages.filter(({ topic }) => subscriber.hears(topic)) }))
      .filter(({ heard }) => heard.length > 0);
    for (const { subscriber, heard } of audience) await subscriber.deliver?.(heard);
    await this.#options.db.inSystem('outbox.relay', async (tx) => {
      const ids = messages.map(({ id }) => id);
      const { rows } = await sql<{ id: number }>`
        /* prepared outbox.relay */
        delete from outbox where id = any(${ids}::bigint[]) returning id
      `.execute(tx);
      // A process that lost the lead without noticing finds that somebody else has recorded these.
      const own = new Set(rows.map(({ id }) => id));
      for (const { subscriber, heard } of audience) {
        const mine = heard.filter(({ id }) => own.has(id));
        if (mine.length > 0) await subscriber.record?.(tx, mine);
      }
    });
    for (const { subscriber } of audience) subscriber.afterwards?.();
  }
}

/** Oldest rows whose transaction, and every transaction before it, has ended: a late commit can never be overtaken. */
async function readBatch(tx: SystemTx): Promise<OutboxMessage[]> {
  const { rows } = await sql<Selectable<Database['outbox']>>`
    /* prepared outbox.read */
    select id, tenant_id, topic, payload, created_at from outbox
    where xact < pg_snapshot_xmin(pg_current_snapshot())
    order by xact, id
    limit ${batchSize}
  `.execute(tx);
  return rows.map((row) => ({
    id: row.id,
    tenantId: row.tenant_id,
    topic: row.topic,
    payload: row.payload as JsonObject,
    createdAt: row.created_at,
  }));
}

export function createOutbox(options: OutboxOptions): Outbox {
  return new OutboxRelay(options);
}
