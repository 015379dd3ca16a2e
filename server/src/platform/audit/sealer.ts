import type pg from 'pg';
import { sql } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Db } from '../db.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { keepSession, type SessionAccess } from '../session.ts';
import type { LogKey } from './checkpoint.ts';
import { emptyFrontier, frontierRoot, type Frontier } from './frontier.ts';
import type { HeadMemory } from './headMemory.ts';
import { findLeaf, proveLeaf, type ProvedLeaf } from './logReader.ts';
import {
  firstCursor,
  growLog,
  LogBroken,
  openLog,
  readHeads,
  readPending,
  storeGrowths,
  type Growth,
  type PendingEntry,
} from './sealBatch.ts';

export interface Sealer {
  /** Takes part in the election; the process that holds the lock of the database seals. */
  readonly start: () => void;
  readonly stop: () => Promise<void>;
  /** Says that entries were committed: whoever seals looks at once. */
  readonly wake: () => void;
  /** Waits until the entry has its place and proves it. Throws audit_unavailable when the time is over or the log is halted. */
  readonly sealed: (tenantId: string, entryId: string, options: { timeoutMs: number }) => Promise<ProvedLeaf>;
  /** Why a tenant's log accepts nothing more, or null. */
  readonly haltedBecause: (tenantId: string) => string | null;
  readonly leads: () => boolean;
  /** Calls `listener` after each flush of this process with the logs that grew. */
  readonly onSealed: (listener: (heads: readonly SealedHead[]) => void) => void;
}

/** A log that has grown to `size` entries. */
export interface SealedHead {
  readonly tenantId: string;
  readonly size: number;
}

export interface SealerOptions {
  readonly db: Db;
  readonly clock: Clock;
  readonly log: Logger;
  readonly key: LogKey;
  readonly memory: HeadMemory;
  /** The sealer's own session: its lock and its wake-ups live and die with it. */
  readonly session: SessionAccess;
  /** Called once when a log is found broken. */
  readonly onHalted?: (tenantId: string, why: string) => void;
  /** Entries sealed at most in one flush. */
  readonly batchSize?: number;
}

const leaderLock = 4_118_200_003;
const pendingChannel = 'atlas_audit_pending';
const sealedChannel = 'atlas_audit_sealed';
const pollMs = 250;
// At most one NOTIFY in this time: each takes a lock that all committing transactions share.
const notifyEveryMs = 20;
// Entries of this time share a checkpoint, unless somebody waits for one of them: a signature, a row and two
// transactions for each handful of entries would cost more than what they record.
const gatherMs = 250;

class DatabaseSealer implements Sealer {
  readonly #options: SealerOptions;
  readonly #batchSize: number;
  readonly #stopping = new AbortController();
  readonly #logs = new Map<string, Frontier>();
  readonly #halted = new Map<string, string>();
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #listeners: ((heads: readonly SealedHead[]) => void)[] = [];
  #cursor = firstCursor;
  #wake = new AbortController();
  #hurry = new AbortController();
  #leads = false;
  #notifying = false;
  #running: Promise<void> | undefined;

  constructor(options: SealerOptions) {
    this.#options = options;
    this.#batchSize = options.batchSize ?? 4096;
  }

  readonly start = (): void => {
    this.#running ??= this.#run();
  };

  readonly stop = async (): Promise<void> => {
    this.#stopping.abort();
    this.#wake.abort();
    this.#hurry.abort();
    await this.#running;
    await this.#options.memory.flush();
  };

  readonly leads = (): boolean => this.#leads;

  readonly onSealed = (listener: (heads: readonly SealedHead[]) => void): void => {
    this.#listeners.push(listener);
  };

  readonly haltedBecause = (tenantId: string): string | null => this.#halted.get(tenantId) ?? null;

  readonly wake = (): void => {
    this.#wake.abort();
    if (!this.#leads) this.#announce();
  };

  readonly sealed = async (
    tenantId: string,
    entryId: string,
    options: { timeoutMs: number },
  ): Promise<ProvedLeaf> => {
    const { db, clock } = this.#options;
    const deadline = clock.now() + options.timeoutMs;
    for (;;) {
      const arrival = this.#awaitArrival(entryId);
      try {
        const proved = await db.inTenant(tenantId, async (tx) => {
          const leaf = await findLeaf(tx, tenantId, entryId);
          return leaf === undefined ? undefined : proveLeaf(tx, tenantId, leaf);
        });
        if (proved !== undefined) return proved;
        const why = this.haltedBecause(tenantId);
        if (why !== null) throw new AppError('audit_unavailable', { detail: why });
        const leftMs = deadline - clock.now();
        if (leftMs <= 0)
          throw new AppError('audit_unavailable', { detail: 'the entry was not sealed in time' });
        this.wake();
        this.#hurry.abort();
        await clock.sleep(Math.min(pollMs, leftMs), arrival.signal);
      } finally {
        arrival.end();
      }
    }
  };

  #awaitArrival(entryId: string): { signal: AbortSignal; end: () => void } {
    const arrived = new AbortController();
    const listener = (): void => arrived.abort();
    const waiters = this.#waiters.get(entryId) ?? new Set();
    this.#waiters.set(entryId, waiters.add(listener));
    return {
      signal: arrived.signal,
      end: () => {
        waiters.delete(listener);
        if (waiters.size === 0) this.#waiters.delete(entryId);
      },
    };
  }

  #tellWaiters(entryIds: Iterable<string>): void {
    if (this.#waiters.size === 0) return;
    for (const entryId of entryIds) this.#waiters.get(entryId)?.forEach((tell) => tell());
  }

  #announce(): void {
    if (this.#notifying || this.#stopping.signal.aborted) return;
    this.#notifying = true;
    const { clock, db, log } = this.#options;
    void clock
      .sleep(notifyEveryMs, this.#stopping.signal)
      .then(() => {
        this.#notifying = false;
        if (this.#stopping.signal.aborted) return undefined;
        return db.inSystem('audit.announce', (tx) =>
          sql`select pg_notify(${pendingChannel}, '')`.execute(tx),
        );
      })
      // Only the wake-up is lost: the sealer polls.
      .catch((error: unknown) => log.debug({ err: error }, 'the wake-up of the sealer was not sent'));
  }

  #run(): Promise<void> {
    const { clock, log, session } = this.#options;
    return keepSession({
      ...{ access: session, name: 'atlas-sealer', clock, log, retryMs: pollMs },
      stopping: this.#stopping.signal,
      channels: [pendingChannel, sealedChannel],
      heard: (channel) => {
        if (channel === pendingChannel) {
          // Who wrote them is another process, and may be waiting.
          this.#wake.abort();
          this.#hurry.abort();
        } else this.#tellWaiters([...this.#waiters.keys()]);
      },
      live: (client, lost) => this.#live(client, lost),
    });
  }

  /** Seals as long as this session holds the lock of the database. */
  async #live(client: pg.Client, lost: AbortSignal): Promise<void> {
    const lose = (): void => {
      this.#leads = false;
      this.#wake.abort();
      this.#hurry.abort();
    };
    lost.addEventListener('abort', lose, { once: true });
    try {
      while (!this.#stopping.signal.aborted) {
        lost.throwIfAborted();
        this.#leads ||= await tryLead(client);
        if (this.#leads) await this.#drain();
        await this.#pause();
      }
    } finally {
      this.#leads = false;
    }
  }

  async #pause(): Promise<void> {
    await this.#options.clock.sleep(pollMs, this.#wake.signal);
    await this.#gather();
    this.#wake = new AbortController();
  }

  /** Lets more entries come, unless somebody waits. */
  async #gather(): Promise<void> {
    if (this.#waiters.size === 0) await this.#options.clock.sleep(gatherMs, this.#hurry.signal);
    this.#hurry = new AbortController();
  }

  /** Seals until nothing waits. What arrives during a flush rides the next one: one checkpoint a log and flush. */
  async #drain(): Promise<void> {
    for (;;) {
      // Taken before the read: a commit after it sets a new wake-up.
      this.#wake = new AbortController();
      const entries = await this.#readBatch();
      if (entries.length > 0) await this.#flush(entries);
      const isWhole = entries.length < this.#batchSize;
      const last = entries.at(-1);
      const wasMidway = this.#cursor !== firstCursor;
      this.#cursor = isWhole || last === undefined ? firstCursor : last;
      if (isWhole && !wasMidway && !this.#wake.signal.aborted) return;
      if (this.#stopping.signal.aborted) return;
      if (isWhole) await this.#gather();
    }
  }

  async #readBatch(): Promise<PendingEntry[]> {
    return this.#options.db.inSystem('audit.readPending', async (tx) => {
      const request = { after: this.#cursor, limit: this.#batchSize, except: [...this.#halted.keys()] };
      const entries = await readPending(tx, request);
      const tenantIds = [...new Set(entries.map(({ tenantId }) => tenantId))];
      if (tenantIds.length === 0) return entries;
      const heads = await readHeads(tx, tenantIds);
      for (const tenantId of tenantIds) {
        const known = this.#logs.get(tenantId);
        const head = heads.get(tenantId) ?? { size: 0, root: frontierRoot(emptyFrontier) };
        if (known !== undefined && known.size === head.size && frontierRoot(known).equals(head.root))
          continue;
        await this.#open(tenantId, () =>
          openLog(tx, tenantId, { key: this.#options.key, memory: this.#options.memory, seen: known }),
        );
      }
      return entries.filter(({ tenantId }) => !this.#halted.has(tenantId));
    });
  }

  async #open(tenantId: string, open: () => Promise<Frontier>): Promise<void> {
    try {
      this.#logs.set(tenantId, await open());
    } catch (error) {
      if (!(error instanceof LogBroken)) throw error;
      this.#halted.set(tenantId, error.message);
      this.#options.log.error(
        { tenantId, why: error.message },
        'the audit log is broken: it accepts nothing more',
      );
      this.#options.onHalted?.(tenantId, error.message);
    }
  }

  async #flush(entries: readonly PendingEntry[]): Promise<void> {
    const { db, key, clock, memory } = this.#options;
    const growths: Growth[] = [];
    for (const own of Map.groupBy(entries, ({ tenantId }) => tenantId).values()) {
      const frontier = this.#logs.get(own[0]?.tenantId ?? '') ?? emptyFrontier;
      growths.push(await growLog(frontier, own, { key, nowMs: clock.now() }));
    }
    await storeGrowths(db, growths, sealedChannel);
    for (const { tenantId, after, note } of growths) {
      this.#logs.set(tenantId, after);
      memory.keep(tenantId, note);
    }
    this.#tellWaiters(entries.map(({ entryId }) => entryId));
    const heads = growths.map(({ tenantId, after }) => ({ tenantId, size: after.size }));
    for (const listener of this.#listeners) listener(heads);
  }
}

async function tryLead(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ leads: boolean }>(
    `select pg_try_advisory_lock(${leaderLock}) as leads`,
  );
  return rows[0]?.leads === true;
}

/** Creates the sealer of this process. */
export function createSealer(options: SealerOptions): Sealer {
  return new DatabaseSealer(options);
}
