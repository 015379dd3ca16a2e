import { sql } from 'kysely';
import type { MetricSample } from '#contract/metrics.ts';
import type { MetricsDeps } from './metrics.deps.ts';
import { insertSamples, type SampleDraft } from './metrics.repository.ts';
import { firstKeptMinute, minuteOf, minutesPerHour } from './rings.policy.ts';

/** An agent's clock may be this far ahead of ours. */
const aheadMinutes = 5;
const gatherMs = 1_000;
const maxPerFlush = 5_000;
const defaultMaxWaiting = 60_000;

/** Samples since the start of this process, by what became of them. */
export interface Counts {
  stored: number;
  /** Sent twice, or after the partition of their day was closed. */
  ignored: number;
  /** Thrown away by us because too many waited for the database. */
  shed: number;
  /** Of the future, or older than raw samples are kept. */
  refused: number;
  /** Thrown away by agents because too many waited for us. */
  droppedByAgents: number;
}

interface MetricsFrame {
  readonly samples: readonly MetricSample[];
  readonly dropped: number;
}

/**
 * Takes samples of all hosts and writes them together, apart from the way of commands: in transactions of its own, one at
 * a time, which wait while requests wait for the database. What does not fit its bounded queue is shed, and counted.
 */
export class MetricsIntake {
  readonly counts: Counts = { stored: 0, ignored: 0, shed: 0, refused: 0, droppedByAgents: 0 };
  readonly #deps: MetricsDeps;
  readonly #maxWaiting: number;
  readonly #stopping = new AbortController();
  #waiting: SampleDraft[] = [];
  #loop: Promise<void> | null = null;
  #saidShed = 0;

  constructor(deps: MetricsDeps) {
    this.#deps = deps;
    this.#maxWaiting = deps.maxWaiting ?? defaultMaxWaiting;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Never waits and never throws: a frame of measures holds no other frame up. */
  record(host: { readonly tenantId: string; readonly hostId: string }, frame: MetricsFrame): void {
    const { clock, retention } = this.#deps;
    const nowMs = clock.now();
    const [first, last] = [firstKeptMinute(nowMs, retention), minuteOf(nowMs) + aheadMinutes];
    this.counts.droppedByAgents += frame.dropped;
    for (const [minute, ...codes] of frame.samples) {
      if (minute < first || minute > last) this.counts.refused += 1;
      else if (this.#waiting.length >= this.#maxWaiting) this.counts.shed += 1;
      else this.#waiting.push({ tenantId: host.tenantId, hostId: host.hostId, minute, codes });
    }
    if (this.#waiting.length > 0) this.#loop ??= this.#run();
  }

  /** Writes what waits, if the database takes it, and ends. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, db, log } = this.#deps;
    const stopping = this.#stopping.signal;
    while (this.#waiting.length > 0) {
      await clock.sleep(gatherMs, stopping);
      // Whoever waits for a connection is a person or a command: they go first.
      if (db.load().waiting > 0 && !stopping.aborted) continue;
      try {
        await this.#flush();
      } catch (error) {
        log.warn({ err: error, waiting: this.#waiting.length }, 'measures were not stored; tried again');
        if (stopping.aborted) break;
      }
      this.#sayShed();
    }
    this.#loop = null;
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, maxPerFlush);
      const presentHour = Math.floor(minuteOf(this.#deps.clock.now()) / minutesPerHour);
      const { kept } = await this.#deps.db.inSystem('metrics.store', async (tx) => {
        // A sample that a crash of the database takes away is a gap in a curve: nobody waits for the disk.
        await sql`set local synchronous_commit to off`.execute(tx);
        return insertSamples(tx, batch, presentHour);
      });
      this.#waiting = this.#waiting.slice(batch.length);
      this.counts.stored += kept;
      this.counts.ignored += batch.length - kept;
      if (batch.length < maxPerFlush) return;
    }
  }

  #sayShed(): void {
    const { shed } = this.counts;
    if (shed === this.#saidShed) return;
    this.#deps.log.warn(
      { shed: shed - this.#saidShed },
      'measures were shed: the database is too slow for them',
    );
    this.#saidShed = shed;
  }
}
