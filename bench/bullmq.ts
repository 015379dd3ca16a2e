import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import { unpackResults, type ResultBatch } from '#contract/results.ts';
import { newId } from '../server/src/platform/ids.ts';
import { peerFence, type SimulatedAgent } from './fleet.ts';

interface BullmqOptions {
  readonly redisUrl: string;
  readonly send: (agentId: string, frame: ServerFrame) => unknown;
}

type Job = Readonly<{ commandId: string; agentId: string }>;

const concurrency = 200;
const jobsPerAdd = 500;

/**
 * Raw BullMQ, as fast as its documentation shows: jobs added in bulk, 200 at a time in one worker, nothing kept once done.
 * A job is the command to the agent and its answer, over the same connections; it counts when Redis has stored its end.
 * No audit, no tenancy, no signature checked: less is promised than by the designs beside it.
 */
export class RawBullmq {
  readonly #send: BullmqOptions['send'];
  readonly #queue: Queue<Job>;
  readonly #worker: Worker<Job, string>;
  readonly #answers = new Map<string, (outcome: string) => void>();
  readonly #ended = new Map<string, () => void>();
  readonly #connections: Redis[];

  constructor({ redisUrl, send }: BullmqOptions) {
    this.#send = send;
    const connect = (): Redis => new Redis(redisUrl, { maxRetriesPerRequest: null });
    const [producer, consumer] = [connect(), connect()];
    this.#connections = [producer, consumer];
    this.#queue = new Queue('raw', { connection: producer });
    this.#worker = new Worker<Job, string>('raw', ({ data }) => this.#dispatch(data), {
      connection: consumer,
      concurrency,
      removeOnComplete: { count: 0 },
    });
    this.#worker.on('completed', ({ data }) => {
      this.#ended.get(data.commandId)?.();
      this.#ended.delete(data.commandId);
    });
  }

  /** Adds all commands and waits for the last stored end. `ended` is called for each. */
  async runAll(commands: number, agents: readonly SimulatedAgent[], ended: () => void): Promise<void> {
    await this.#worker.waitUntilReady();
    const jobs = Array.from({ length: commands }, (_, index) => ({
      commandId: newId(),
      agentId: agents[index % agents.length]?.agentId ?? '',
    }));
    const all = jobs.map(
      ({ commandId }) =>
        new Promise<void>((resolve) =>
          this.#ended.set(commandId, () => {
            ended();
            resolve();
          }),
        ),
    );
    for (let start = 0; start < jobs.length; start += jobsPerAdd) {
      const part = jobs.slice(start, start + jobsPerAdd);
      await this.#queue.addBulk(part.map((data) => ({ name: 'command', data })));
    }
    await Promise.all(all);
  }

  receive(frame: Extract<AgentFrame, { type: 'results' }>): void {
    for (const { payload } of frame.envelopes) {
      const batch = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as ResultBatch;
      for (const { commandId, outcome } of unpackResults(batch)) {
        this.#answers.get(commandId)?.(outcome);
        this.#answers.delete(commandId);
      }
    }
  }

  async close(): Promise<void> {
    await this.#worker.close();
    await this.#queue.close();
    for (const connection of this.#connections) connection.disconnect();
  }

  #dispatch({ commandId, agentId }: Job): Promise<string> {
    const command = {
      commandId,
      verb: 'agent.noop' as const,
      releaseId: null,
      runId: null,
      hostRunId: null,
      step: null,
      fence: peerFence,
    };
    const answered = new Promise<string>((resolve) => this.#answers.set(commandId, resolve));
    this.#send(agentId, { type: 'commands', commands: [command] });
    return answered;
  }
}
