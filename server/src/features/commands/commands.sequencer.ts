import type { AuditDraft, AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Db } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { insertFlush, resultName, type ReadingDraft, type ResultDraft } from './commands.repository.ts';

/** Who asked for a command. */
export interface Principal {
  readonly kind: 'person' | 'apiKey' | 'system';
  readonly id: string | null;
}

interface WaitingReading {
  readonly draft: ReadingDraft;
  readonly principal: Principal;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface WaitingResults {
  readonly drafts: readonly ResultDraft[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface SequencerOptions {
  readonly db: Db;
  readonly audit: AuditWriter;
  /** Called strictly after the commit, with everything that it made durable. */
  readonly committed: (readings: readonly ReadingDraft[]) => void;
  /** Commands and results that may wait; more are refused. */
  readonly maxWaiting?: number;
}

const readingsPerFlush = 2_000;
const resultsPerFlush = 4_000;
/** Taken from one tenant before the next one has its turn. */
const tenantTurn = 100;

const auditOutcomes = { succeeded: 'ok', refused: 'refused', indeterminate: 'indeterminate' } as const;

/**
 * The entry of a signed result. What came over SSH is called the runner's word: the key lies on the host, but who can
 * log in as its root can use it, and this server can.
 */
export function resultEntry({ tenantId, result, payloadSha256, isVisited }: ResultDraft): AuditDraft {
  const { outcome } = result;
  const known = outcome === 'succeeded' || outcome === 'refused' || outcome === 'indeterminate';
  return {
    tenantId,
    action: 'command.result',
    ...(isVisited ? { actorKind: 'system', actorId: null } : { actorKind: 'agent', actorId: result.agent }),
    subjectType: 'command',
    subjectId: result.commandId,
    outcome: known ? auditOutcomes[outcome] : 'failed',
    digest: payloadSha256,
    details: {
      ...(isVisited ? { by: 'runner', agentId: result.agent } : {}),
      verb: result.verb,
      outcome,
      code: result.code,
      seq: result.seq,
      ...(result.hostRunId === null ? {} : { hostRunId: result.hostRunId, step: result.step }),
    },
  };
}

function readingEntry({ draft, principal }: WaitingReading): AuditDraft {
  return {
    tenantId: draft.tenantId,
    action: 'command.dispatched',
    actorKind: principal.kind,
    actorId: principal.id,
    subjectType: 'command',
    subjectId: draft.id,
    outcome: 'ok',
    digest: null,
    details: { verb: draft.verb, agentId: draft.agentId, hostId: draft.hostId },
  };
}

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
  readonly #results: WaitingResults[] = [];
  #waitingResults = 0;
  #busy = false;
  #idle: (() => void)[] = [];

  constructor(options: SequencerOptions) {
    this.#options = options;
  }

  /** Resolves when the command is durable. Throws overloaded when the queue is full, not_found when there is no such agent. */
  submit(draft: ReadingDraft, principal: Principal): Promise<void> {
    this.#refuseWhenFull(1);
    return new Promise((resolve, reject) => {
      this.#readings.push(draft.tenantId, { draft, principal, resolve, reject });
      this.#kick();
    });
  }

  /** Resolves when the results are durable, those that were held before included. */
  append(drafts: readonly ResultDraft[]): Promise<void> {
    this.#refuseWhenFull(drafts.length);
    return new Promise((resolve, reject) => {
      this.#results.push({ drafts, resolve, reject });
      this.#waitingResults += drafts.length;
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

  #takeResults(): WaitingResults[] {
    const taken: WaitingResults[] = [];
    let count = 0;
    while (this.#results.length > 0 && count < resultsPerFlush) {
      const next = this.#results.shift();
      if (next === undefined) break;
      taken.push(next);
      count += next.drafts.length;
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

  #commit(readings: readonly WaitingReading[], results: readonly WaitingResults[]): Promise<Set<string>> {
    const drafts = results.flatMap((one) => one.drafts);
    return this.#options.db.inSystem('commands.flush', async (tx) => {
      const kept = await insertFlush(
        tx,
        readings.map(({ draft }) => draft),
        drafts,
      );
      await this.#options.audit.recordMany(tx, [
        ...readings.filter(({ draft }) => kept.has(draft.id)).map(readingEntry),
        // A commit whose answer was lost is tried again: each result that was written now has its one entry.
        ...drafts.filter((draft) => kept.delete(resultName(draft))).map(resultEntry),
      ]);
      return kept;
    });
  }
}
