import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Db, SystemTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import { answerEntries, readingEntries, type AskedReading, type Principal } from './commands.entries.ts';
import { insertFrames, insertReadings, type FrameDraft, type ReadingDraft } from './commands.repository.ts';

type WantedReading = Omit<ReadingDraft, 'entryId'>;
type ReceivedFrame = Omit<FrameDraft, 'entryId'>;

interface WaitingReading {
  readonly draft: WantedReading;
  readonly principal: Principal;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface WaitingFrames {
  readonly drafts: readonly ReceivedFrame[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What one flush stores. */
interface Flush {
  readonly asked: readonly AskedReading[];
  readonly frames: readonly FrameDraft[];
}

interface SequencerOptions {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly newId: NewId;
  /** Called strictly after the commit, with everything that it made durable. */
  readonly committed: (readings: readonly WantedReading[]) => void;
  /** Commands and results that may wait; more are refused. */
  readonly maxWaiting?: number;
}

const readingsPerFlush = 2_000;
const resultsPerFlush = 4_000;
/** Taken from one tenant before the next one has its turn. */
const tenantTurn = 100;

/** A queue a tenant, emptied in turns, so that no tenant waits behind another one's burst. */
class FairQueue<T> {
  readonly #queues = new Map<string, T[]>();
  size = 0;

  push(tenantId: string, item: T): void {
    const queue = this.#queues.get(tenantId);
    if (queue === undefined) this.#queues.set(tenantId, [item]);
    else queue.push(item);
    this.size += 1;
  }

  take(limit: number): T[] {
    const taken: T[] = [];
    while (taken.length < limit && this.#queues.size > 0) {
      for (const [tenantId, queue] of this.#queues) {
        taken.push(...queue.splice(0, Math.min(tenantTurn, limit - taken.length)));
        // Behind the others for the next flush, so that the order of arrival of tenants decides nothing.
        this.#queues.delete(tenantId);
        if (queue.length > 0) this.#queues.set(tenantId, queue);
        if (taken.length === limit) break;
      }
    }
    this.size -= taken.length;
    return taken;
  }
}

/**
 * Makes commands and results durable with single-flight group commit: everything that arrives while one transaction
 * flies rides the next one. There is no timer: alone, a command waits for one commit; under load the batch grows by itself.
 */
export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #readings = new FairQueue<WaitingReading>();
  readonly #results: WaitingFrames[] = [];
  #waitingResults = 0;
  #busy = false;
  #idle: (() => void)[] = [];

  constructor(options: SequencerOptions) {
    this.#options = options;
  }

  /** Resolves when the command is durable. Throws overloaded when the queue is full, not_found when there is no such agent. */
  submit(draft: WantedReading, principal: Principal): Promise<void> {
    this.#refuseWhenFull(1);
    return new Promise((resolve, reject) => {
      this.#readings.push(draft.tenantId, { draft, principal, resolve, reject });
      this.#kick();
    });
  }

  /** Resolves when the results are durable, those that were held before included. */
  append(drafts: readonly ReceivedFrame[]): Promise<void> {
    const more = drafts.reduce((sum, { fresh }) => sum + fresh.length, 0);
    this.#refuseWhenFull(more);
    return new Promise((resolve, reject) => {
      this.#results.push({ drafts, resolve, reject });
      this.#waitingResults += more;
      this.#kick();
    });
  }

  /** Resolves when nothing waits any more. */
  drained(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  get waiting(): number {
    return this.#readings.size + this.#waitingResults;
  }

  #refuseWhenFull(more: number): void {
    if (this.waiting + more <= (this.#options.maxWaiting ?? 50_000)) return;
    throw new AppError('overloaded', { detail: 'too many commands wait', retryAfterS: 1 });
  }

  #kick(): void {
    if (this.#busy) return;
    this.#busy = true;
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.waiting > 0) await this.#flush();
    this.#busy = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #takeResults(): WaitingFrames[] {
    const taken: WaitingFrames[] = [];
    let count = 0;
    while (this.#results.length > 0 && count < resultsPerFlush) {
      const next = this.#results.shift();
      if (next === undefined) break;
      taken.push(next);
      count += next.drafts.reduce((sum, { fresh }) => sum + fresh.length, 0);
    }
    this.#waitingResults -= count;
    return taken;
  }

  async #flush(): Promise<void> {
    const readings = this.#readings.take(readingsPerFlush);
    const results = this.#takeResults();
    let kept: Set<string>;
    try {
      kept = await this.#commit(readings, results);
    } catch (error) {
      for (const waiter of [...readings, ...results]) waiter.reject(error);
      return;
    }
    const durable = readings.filter(({ draft }) => kept.has(draft.id));
    this.#options.committed(durable.map(({ draft }) => draft));
    for (const { draft, resolve, reject } of readings) {
      if (kept.has(draft.id)) resolve();
      else reject(new AppError('not_found'));
    }
    for (const { resolve } of results) resolve();
  }

  async #commit(
    readings: readonly WaitingReading[],
    waiting: readonly WaitingFrames[],
  ): Promise<Set<string>> {
    const { db } = this.#options;
    const flush = this.#draft(readings, waiting);
    try {
      return await db.inSystem('commands.flush', (tx) => this.#storeAtOnce(tx, flush));
    } catch (error) {
      if (!(error instanceof NotAllKept)) throw error;
    }
    return db.inSystem('commands.flush', (tx) => this.#storeInTurn(tx, flush));
  }

  /** What a flush stores, each row with the entry that will speak of it. */
  #draft(readings: readonly WaitingReading[], waiting: readonly WaitingFrames[]): Flush {
    const entries = new EntryIds(this.#options.newId);
    const asked = readings.map(({ draft, principal }) => ({
      principal,
      draft: { ...draft, entryId: entries.of(`${draft.tenantId} ${principal.kind} ${principal.id}`) },
    }));
    const frames = waiting.flatMap(({ drafts }) =>
      drafts.map((draft) => ({
        ...draft,
        entryId: draft.fresh.some(({ hostRunId }) => hostRunId === null)
          ? entries.of(`${draft.tenantId} results`)
          : null,
      })),
    );
    return { asked, frames };
  }

  /**
   * Everything in one round trip, the entries for all of it included. Throws NotAllKept, and with that undoes it, when a
   * reading has no such agent or a frame was held before: what the entries say would not be so.
   */
  async #storeAtOnce(tx: SystemTx, { asked, frames }: Flush): Promise<Set<string>> {
    const [kept, fresh] = await Promise.all([
      insertReadings(
        tx,
        asked.map(({ draft }) => draft),
      ),
      insertFrames(tx, frames),
      this.#options.audit.recordMany(tx, [...readingEntries(asked), ...answerEntries(frames)]),
    ]);
    if (kept.size !== asked.length || fresh.length !== frames.length) throw new NotAllKept();
    return kept;
  }

  /** The rare way: entries only for what turns out to be kept. */
  async #storeInTurn(tx: SystemTx, { asked, frames }: Flush): Promise<Set<string>> {
    const kept = await insertReadings(
      tx,
      asked.map(({ draft }) => draft),
    );
    const fresh = await insertFrames(tx, frames);
    await this.#options.audit.recordMany(tx, [
      ...readingEntries(asked.filter(({ draft }) => kept.has(draft.id))),
      ...answerEntries(fresh),
    ]);
    return kept;
  }
}

/** The transaction must not stand as it is: part of the flush was refused by the database. */
class NotAllKept extends Error {
  constructor() {
    super('part of a flush was not kept');
    this.name = 'NotAllKept';
  }
}

/** Identifiers of the entries of one flush: the same for what the same entry speaks of. */
class EntryIds {
  readonly #newId: NewId;
  readonly #known = new Map<string, string>();

  constructor(newId: NewId) {
    this.#newId = newId;
  }

  of(key: string): string {
    const known = this.#known.get(key) ?? this.#newId();
    this.#known.set(key, known);
    return known;
  }
}
