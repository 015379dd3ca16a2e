import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Db, SystemTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import { answerEntries, readingEntries, type AskedReading, type Principal } from './commands.entries.ts';
import { insertFrames, insertReadings, type FrameDraft, type ReadingDraft } from './commands.repository.ts';
import { Turns } from './commands.turns.ts';

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
  /** Commands that may wait, and as many results; more are refused, and more than a quarter of them of one tenant. */
  readonly maxWaiting?: number;
}

const readingsPerFlush = 2_000;
const resultsPerFlush = 4_000;
/** Share of what may wait that one tenant's commands may take, or its results. */
const tenantShare = 1 / 4;
const mostWaiting = 50_000;

/**
 * Makes commands and results durable with single-flight group commit: everything that arrives while one transaction
 * flies rides the next one. There is no timer: alone, a command waits for one commit; under load the batch grows by itself.
 */
export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #readings = new Turns<WaitingReading>();
  readonly #results = new Turns<WaitingFrames>();
  #busy = false;
  #idle: (() => void)[] = [];

  constructor(options: SequencerOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the command is durable. Throws rate_limited when too much of this tenant waits, overloaded when too much
   * of all waits, not_found when there is no such agent.
   */
  submit(draft: WantedReading, principal: Principal): Promise<void> {
    refuseWhenFull(this.#readings, { tenantId: draft.tenantId, more: 1, most: this.#most });
    return new Promise((resolve, reject) => {
      this.#readings.push(draft.tenantId, { draft, principal, resolve, reject });
      this.#kick();
    });
  }

  /**
   * Resolves when the results of one agent are durable, those that were held before included. Results have a bound of
   * their own: commands, however many wait, never keep one out.
   */
  append(drafts: readonly ReceivedFrame[]): Promise<void> {
    const [first] = drafts;
    if (first === undefined) return Promise.resolve();
    const { tenantId } = first;
    const more = drafts.reduce((sum, { fresh }) => sum + fresh.length, 0);
    refuseWhenFull(this.#results, { tenantId, more, most: this.#most });
    return new Promise((resolve, reject) => {
      this.#results.push(tenantId, { drafts, resolve, reject }, Math.max(1, more));
      this.#kick();
    });
  }

  /** Resolves when nothing waits any more. */
  drained(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  get waiting(): number {
    return this.#readings.weight + this.#results.weight;
  }

  get #most(): number {
    return this.#options.maxWaiting ?? mostWaiting;
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

  async #flush(): Promise<void> {
    const readings = this.#readings.take(readingsPerFlush);
    const results = this.#results.take(resultsPerFlush);
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

/** Refuses the one whose share is used up before it refuses everybody. What comes alone is taken whatever its size: it never gets smaller. */
function refuseWhenFull(
  turns: Turns<unknown>,
  { tenantId, more, most }: { readonly tenantId: string; readonly more: number; readonly most: number },
): void {
  const own = turns.weightOf(tenantId);
  if (own > 0 && own + more > most * tenantShare)
    throw new AppError('rate_limited', { detail: 'too much of this tenant waits', retryAfterS: 1 });
  if (turns.weight > 0 && turns.weight + more > most)
    throw new AppError('overloaded', { detail: 'too much waits', retryAfterS: 1 });
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
