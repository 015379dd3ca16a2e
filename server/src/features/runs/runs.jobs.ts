import type { OutboxSubscriber } from '../../platform/outbox.ts';
import type { Queues } from '../../platform/queue.ts';
import { Ticker } from '../../platform/ticker.ts';
import { advanceTopic, type RunsDeps } from './runs.deps.ts';
import { listDue, listForgotten, listStalled, type Due } from './runs.sweep.ts';
import type { Engines } from './runs.service.ts';

const tickMs = 1_000;
/** How often is looked for what nobody took into account, results and whole runs: the process died in between. */
const forgottenEveryMs = 10_000;

type AdvanceJob = Readonly<{ tenantId: string; runId: string }>;

/** What makes runs move when nobody asks: reminders of the outbox, and a sweep that needs no Redis. */
export class RunsJobs {
  readonly #deps: RunsDeps;
  readonly #engines: Engines;
  readonly #ticker: Ticker;
  #lastForgottenMs = 0;

  constructor(deps: RunsDeps, engines: Engines) {
    this.#deps = deps;
    this.#engines = engines;
    this.#ticker = new Ticker(deps, {
      everyMs: tickMs,
      tick: () => this.tick(),
      complaint: 'the sweep of runs met an error and goes on',
    });
  }

  /** Turns messages of the outbox into jobs that any worker takes. */
  subscriber(queues: Queues): OutboxSubscriber {
    const queue = queues.define<AdvanceJob>(advanceTopic);
    return {
      name: advanceTopic,
      hears: (topic) => topic === advanceTopic,
      deliver: async (messages) => {
        for (const { id, tenantId, payload } of messages) {
          const runId = String(payload.runId);
          await queue.enqueue({ tenantId, runId }, { jobId: `${runId}-${id}` });
        }
      },
    };
  }

  work(queues: Queues): void {
    queues.work<AdvanceJob>(advanceTopic, 4, ({ tenantId, runId }) =>
      this.#engines.runs.advance(tenantId, runId),
    );
  }

  /** Starts the sweep. It is enough by itself: Redis may be empty or away. */
  start(): void {
    this.#ticker.start();
  }

  async stop(): Promise<void> {
    await this.#ticker.stop();
    await this.#engines.runs.idle();
    await this.#engines.hosts.idle();
    await this.#engines.log.flush();
  }

  /** One turn of the sweep. */
  async tick(): Promise<void> {
    const { db, clock } = this.#deps;
    await this.#engines.log.flush();
    const nowMs = clock.now();
    const due = await db.inSystem('runs.sweep', (tx) => listDue(tx, nowMs));
    const left = await this.#leftBehind(nowMs);
    await Promise.all([
      ...[...due.runs, ...left.runs].map(({ tenantId, id }) => this.#engines.runs.advance(tenantId, id)),
      ...[...due.hostRuns, ...left.hostRuns].map(({ tenantId, id }) =>
        this.#engines.hosts.advance(tenantId, id),
      ),
    ]);
  }

  async #leftBehind(nowMs: number): Promise<{ readonly runs: Due[]; readonly hostRuns: Due[] }> {
    if (nowMs - this.#lastForgottenMs < forgottenEveryMs) return { runs: [], hostRuns: [] };
    this.#lastForgottenMs = nowMs;
    return this.#deps.db.inSystem('runs.forgotten', async (tx) => ({
      runs: await listStalled(tx),
      hostRuns: await listForgotten(tx),
    }));
  }
}
