import { Queue, Worker, type Job } from 'bullmq';
import type { Logger } from './log.ts';
import { createRedis, type Redis, type RedisConnection } from './redis.ts';

/** What a job carries: identifiers and counters. The row in PostgreSQL is the truth, the job a reminder. */
export type JobIds = Readonly<Record<string, string | number>>;

export interface EnqueueOptions {
  /** The business key: a second job with the same key is the same job while the first lives. */
  readonly jobId: string;
  readonly delayMs?: number;
  /** Lower goes first; 0 when absent. */
  readonly priority?: number;
}

export interface JobQueue<T extends JobIds> {
  readonly name: string;
  /** Throws when Redis is away: the outbox relay or the feature's sweep tries again. */
  readonly enqueue: (ids: T, options: EnqueueOptions) => Promise<void>;
}

export interface Queues {
  readonly define: <T extends JobIds>(name: string) => JobQueue<T>;
  /** Runs jobs of the queue here. An error that `run` throws is retried with growing pauses, five times. */
  readonly work: <T extends JobIds>(
    name: string,
    concurrency: number,
    run: (ids: T) => Promise<void>,
  ) => void;
  /** Calls `run` at this pace, once among all processes. */
  readonly every: (name: string, everyMs: number, run: () => Promise<void>) => Promise<void>;
  readonly close: () => Promise<void>;
}

const keep = { removeOnComplete: { age: 3600, count: 1000 }, removeOnFail: { age: 86_400, count: 1000 } };
const retry = { attempts: 5, backoff: { type: 'exponential', delay: 500, jitter: 0.5 } };

class BullQueues implements Queues {
  readonly #connection: RedisConnection;
  readonly #log: Logger;
  readonly #producer: Redis;
  readonly #queues = new Map<string, Queue>();
  readonly #workers: Worker[] = [];
  readonly #connections: Redis[] = [];

  constructor(connection: RedisConnection, log: Logger) {
    this.#connection = connection;
    this.#log = log;
    this.#producer = createRedis(connection, 'request', log);
  }

  readonly define = <T extends JobIds>(name: string): JobQueue<T> => {
    const queue = this.#queue(name);
    return {
      name,
      enqueue: async (ids, { jobId, delayMs, priority }) => {
        await queue.add(name, ids, {
          jobId,
          ...retry,
          ...keep,
          ...(delayMs === undefined ? {} : { delay: delayMs }),
          ...(priority === undefined ? {} : { priority }),
        });
      },
    };
  };

  readonly work = <T extends JobIds>(
    name: string,
    concurrency: number,
    run: (ids: T) => Promise<void>,
  ): void => {
    const connection = createRedis(this.#connection, 'worker', this.#log);
    this.#connections.push(connection);
    const worker = new Worker(name, (job: Job<T>) => run(job.data), { connection, concurrency });
    worker.on('error', (error) =>
      this.#log.warn({ err: error, queue: name }, 'a queue worker met an error and goes on'),
    );
    worker.on('failed', (job, error) =>
      this.#log.warn({ err: error, queue: name, jobId: job?.id, attempt: job?.attemptsMade }, 'a job failed'),
    );
    this.#workers.push(worker);
  };

  readonly every = async (name: string, everyMs: number, run: () => Promise<void>): Promise<void> => {
    this.work(name, 1, run);
    await this.#ready();
    await this.#queue(name).upsertJobScheduler(name, { every: everyMs }, { name, data: {}, opts: keep });
  };

  readonly close = async (): Promise<void> => {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    for (const connection of [...this.#connections, this.#producer]) connection.disconnect();
  };

  async #ready(): Promise<void> {
    if (this.#producer.status === 'ready') return;
    await new Promise<void>((resolve) => this.#producer.once('ready', () => resolve()));
  }

  #queue(name: string): Queue {
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const queue = new Queue(name, { connection: this.#producer });
    queue.on('error', (error) => this.#log.warn({ err: error, queue: name }, 'a queue met an error'));
    this.#queues.set(name, queue);
    return queue;
  }
}

/** Named BullMQ queues that carry identifiers only. */
export function createQueues(connection: RedisConnection, log: Logger): Queues {
  return new BullQueues(connection, log);
}
