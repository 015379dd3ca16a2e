import { createHash } from 'node:crypto';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { sql } from 'kysely';
import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import { resultKey, verifyResults } from '../server/src/features/commands/commands.results.ts';
import type { Db, TenantTx } from '../server/src/platform/db.ts';
import { newId } from '../server/src/platform/ids.ts';
import { peerFence, type SimulatedAgent } from './fleet.ts';

interface NaiveOptions {
  readonly db: Db;
  readonly redisUrl: string;
  readonly send: (agentId: string, frame: ServerFrame) => unknown;
}

type Job = Readonly<{ commandId: string; agentId: string }>;

/**
 * The design that most programs have: a queue job a command, a transaction for the command and one for its result,
 * and the head of the audit chain locked in each. Same agents, same TLS, same signatures, same row-level security.
 */
export class NaiveCommands {
  readonly #options: NaiveOptions;
  readonly #queue: Queue<Job>;
  readonly #worker: Worker<Job>;
  readonly #waiting = new Map<string, () => void>();
  readonly #connections: Redis[];

  constructor(options: NaiveOptions) {
    this.#options = options;
    const connect = (): Redis => new Redis(options.redisUrl, { maxRetriesPerRequest: null });
    this.#connections = [connect(), connect()];
    const [producer, consumer] = this.#connections as [Redis, Redis];
    this.#queue = new Queue('naive', { connection: producer });
    this.#worker = new Worker<Job>('naive', (job) => this.#dispatch(job.data), {
      connection: consumer,
      concurrency: 64,
    });
  }

  /** Resolves when the result is durable. */
  async run(agent: SimulatedAgent): Promise<void> {
    const { tenantId, agentId } = agent;
    const commandId = newId();
    const ended = new Promise<void>((resolve) => this.#waiting.set(commandId, resolve));
    await this.#options.db.inTenant(tenantId, async (tx) => {
      await sql`insert into naive_commands (id, tenant_id, agent_id, verb) values (${commandId}, ${tenantId}, ${agentId}, 'agent.noop')`.execute(
        tx,
      );
      await this.#chain(tx, 'command.dispatched', commandId);
    });
    await this.#queue.add('command', { commandId, agentId }, { removeOnComplete: true });
    await ended;
  }

  async receive(agent: SimulatedAgent, frame: Extract<AgentFrame, { type: 'results' }>): Promise<void> {
    const key = resultKey(Buffer.from(agent.resultPublicKey, 'base64'));
    for (const envelope of frame.envelopes) {
      const { results, payload, signature } = await verifyResults(envelope, key, agent);
      for (const { commandId, seq } of results) {
        await this.#options.db.inTenant(agent.tenantId, async (tx) => {
          await sql`update naive_commands set result = ${payload}, signature = ${signature} where id = ${commandId}`.execute(
            tx,
          );
          await this.#chain(tx, 'command.result', commandId);
        });
        // An agent keeps a result until it is told that somebody else does.
        this.#options.send(agent.agentId, { type: 'resultsHeld', upTo: seq });
        this.#waiting.get(commandId)?.();
        this.#waiting.delete(commandId);
      }
    }
  }

  async close(): Promise<void> {
    await this.#worker.close();
    await this.#queue.close();
    for (const connection of this.#connections) connection.disconnect();
  }

  #dispatch({ commandId, agentId }: Job): Promise<void> {
    const command = {
      commandId,
      verb: 'agent.noop' as const,
      releaseId: null,
      runId: null,
      hostRunId: null,
      step: null,
      fence: peerFence,
    };
    this.#options.send(agentId, { type: 'commands', commands: [command] });
    return Promise.resolve();
  }

  async #chain(tx: TenantTx, action: string, subjectId: string): Promise<void> {
    const { rows } = await sql<{ tenant_id: string; seq: number; hash: Buffer }>`
      select tenant_id, seq, hash from naive_heads for update`.execute(tx);
    const head = rows[0];
    if (head === undefined) throw new Error('there is no chain head');
    const seq = head.seq + 1;
    const hash = createHash('sha256').update(head.hash).update(`${seq} ${action} ${subjectId}`).digest();
    await sql`insert into naive_audit (seq, tenant_id, action, subject_id, prev, hash)
      values (${seq}, ${head.tenant_id}, ${action}, ${subjectId}, ${head.hash}, ${hash})`.execute(tx);
    await sql`update naive_heads set seq = ${seq}, hash = ${hash} where tenant_id = ${head.tenant_id}`.execute(
      tx,
    );
  }
}
