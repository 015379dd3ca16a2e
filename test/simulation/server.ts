import { sql } from 'kysely';
import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import type { ReleaseBundle } from '#contract/trust.ts';
import { createCommandsModule } from '../../server/src/features/commands/commands.module.ts';
import { setActiveRun } from '../../server/src/features/fleet/fleet.repository.ts';
import { DependenciesService } from '../../server/src/features/groups/dependencies.service.ts';
import { createGroupsModule } from '../../server/src/features/groups/groups.module.ts';
import { createRunsModule } from '../../server/src/features/runs/runs.module.ts';
import { WindowsService } from '../../server/src/features/windows/windows.service.ts';
import { createAuditWriter } from '../../server/src/platform/audit/auditWriter.ts';
import type { LogKey } from '../../server/src/platform/audit/checkpoint.ts';
import type { HeadMemory } from '../../server/src/platform/audit/headMemory.ts';
import { createSealer } from '../../server/src/platform/audit/sealer.ts';
import { systemClock, type Clock } from '../../server/src/platform/clock.ts';
import { createDb } from '../../server/src/platform/db.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { createOutbox } from '../../server/src/platform/outbox.ts';
import type { JobIds, Queues } from '../../server/src/platform/queue.ts';
import type { TestDatabase } from '../harness/database.ts';
import { loop, type Machine, type Program } from './os/loop.ts';
import { network, type Wire } from './os/network.ts';

export interface AgentRef {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
}

/** What outlives a server program: its database, its keys, and what the world says. */
export interface ServerGround {
  readonly database: TestDatabase;
  readonly logKey: LogKey;
  readonly heads: Map<string, string>;
  readonly agentOn: (machine: Machine) => AgentRef;
  readonly resultKeyOf: (agentId: string) => Buffer;
  readonly bundleFor: (releaseId: string, hostId: string) => ReleaseBundle;
  readonly lockOf: () => { readonly tenant: boolean; readonly runIds: readonly string[] };
  readonly redis: SimulatedRedis;
  readonly logLevel: string;
}

/** Where reminders are kept: it may be away, lose all of them, bring them late, or twice. */
export class SimulatedRedis {
  loss = 0;
  twice = 0;
  isDown = false;
  #generation = 0;

  empty(): void {
    this.#generation += 1;
  }

  queues(): Queues {
    const workers = new Map<string, (ids: JobIds) => Promise<void>>();
    const bring = (name: string, ids: JobIds): void => {
      const generation = this.#generation;
      loop.after(loop.chance.between(1, 400), () => {
        if (generation !== this.#generation) return;
        if (this.isDown) {
          bring(name, ids);
          return;
        }
        workers
          .get(name)?.(ids)
          .catch(() => undefined);
      });
    };
    return {
      define: (name) => ({
        name,
        enqueue: async (ids) => {
          await loop.sleep(loop.chance.between(0, 5));
          if (this.isDown) throw new Error('Redis is away');
          if (loop.chance.happens(this.loss)) return;
          bring(name, ids);
          if (loop.chance.happens(this.twice)) bring(name, ids);
        },
      }),
      work: (name, _concurrency, run) => {
        workers.set(name, run as (ids: JobIds) => Promise<void>);
      },
      every: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }
}

const heartbeatS = 10;

interface Connection {
  readonly wire: Wire;
  heardMs: number;
  /** Until the first frames are known, others wait behind them. */
  held: ServerFrame[] | null;
}

/** The agents' listener: the order of frames is the product's, the way they travel is the simulated network. */
class Hub {
  readonly #connections = new Map<string, Connection>();
  readonly #program: Program;
  server!: ReturnType<typeof createServer>;

  constructor(program: Program) {
    this.#program = program;
    network.listener = (wire) => (program.alive ? this.#accept(wire) : null);
    const watch = (): void => {
      loop.after(heartbeatS * 1000, watch);
      for (const [, { wire, heardMs }] of this.#connections)
        if (loop.nowMs - heardMs > heartbeatS * 3000) wire.close('server', 1000, 'silent');
    };
    loop.after(heartbeatS * 1000, watch, program);
  }

  readonly isConnected = (agentId: string): boolean => this.#connections.has(agentId);

  readonly send = (agentId: string, frame: ServerFrame): 'sent' | 'not_connected' => {
    const connection = this.#connections.get(agentId);
    if (connection === undefined) return 'not_connected';
    if (connection.held === null) connection.wire.send('agent', JSON.stringify(frame));
    else connection.held.push(frame);
    return 'sent';
  };

  readonly disconnect = (agentId: string): void => {
    this.#connections.get(agentId)?.wire.close('server', 1008, 'refused');
  };

  #accept(wire: Wire) {
    const agent = this.server.ground.agentOn(wire.machine);
    let incoming: Promise<void> = Promise.resolve();
    let ended = false;
    const isCurrent = (): boolean => this.#connections.get(agent.agentId)?.wire === wire;
    const deal = async (text: string): Promise<void> => {
      if (ended) return;
      const frame = JSON.parse(text) as AgentFrame;
      try {
        if (frame.type === 'hello') await this.#hello(agent, wire, frame);
        else if (isCurrent()) await this.#frame(agent, frame);
      } catch {
        wire.close('server', 1011, 'try_again');
      }
    };
    return {
      program: this.#program,
      receive: (text: string) => {
        const known = this.#connections.get(agent.agentId);
        if (known?.wire === wire) known.heardMs = loop.nowMs;
        incoming = incoming.then(() => deal(text));
      },
      closed: () => {
        ended = true;
        if (!isCurrent()) return;
        this.#connections.delete(agent.agentId);
        this.server.commands.disconnected(agent);
        // What fails here is what a heartbeat that is never written down does: the row says what it said.
        void this.#note(agent, false).catch(() => undefined);
      },
    };
  }

  async #hello(agent: AgentRef, wire: Wire, hello: Extract<AgentFrame, { type: 'hello' }>): Promise<void> {
    const { commands, runs } = this.server;
    const before = this.#connections.get(agent.agentId);
    if (before !== undefined) {
      this.#connections.delete(agent.agentId);
      commands.disconnected(agent);
      before.wire.close('server', 1000, 'replaced');
    }
    const connection: Connection = { wire, heardMs: loop.nowMs, held: [] };
    this.#connections.set(agent.agentId, connection);
    const open = await commands.connected(agent);
    const resultsHeld = await commands.resultsHeld(agent.tenantId, agent.agentId);
    void runs.service.agentConnected(agent, hello.openCommands).catch(() => undefined);
    const serverTime = new Date().toISOString();
    const frames: ServerFrame[] = [
      { type: 'welcome', serverTime, heartbeatS, resultsHeld },
      this.#lock(),
      ...open,
    ];
    await this.#note(agent, true);
    const waiting = connection.held ?? [];
    connection.held = null;
    for (const frame of [...frames, ...waiting]) wire.send('agent', JSON.stringify(frame));
  }

  /** Whether the agent is there, as lists and groups read it. The database's clock does not know this world's time. */
  async #note(agent: AgentRef, isThere: boolean): Promise<void> {
    await this.server.db.inTenant(agent.tenantId, async (tx) => {
      await tx
        .updateTable('agents')
        .set({ connected_at: isThere ? sql`now()` : null, last_seen_at: sql`now()` })
        .where('id', '=', agent.agentId)
        .execute();
    });
  }

  #lock(): ServerFrame {
    return { type: 'lock', at: new Date().toISOString(), envelope: null };
  }

  async #frame(agent: AgentRef, frame: Exclude<AgentFrame, { type: 'hello' }>): Promise<void> {
    const { commands, runs } = this.server;
    runs.service.heard(agent);
    if (frame.type === 'heartbeat') this.send(agent.agentId, this.#lock());
    if (frame.type === 'results') await commands.receiveResults(agent, frame);
    if (frame.type === 'progress') runs.service.progress(agent, frame);
  }
}

const sealWithinMs = 10_000;

/** Looks less often where nothing but looking is done: what depends on being looked at waits longer, and seeds go faster. */
const slowClock: Clock = {
  ...systemClock,
  sleep: (durationMs, signal) => systemClock.sleep(durationMs === 1000 ? 5000 : durationMs, signal),
};

/** The server's program: commands, runs, outbox, sealer and queues as main wires them. Call it as the program. */
export function createServer(program: Program, ground: ServerGround) {
  const log = createLogger({ level: ground.logLevel, role: 'simulated' });
  const session = { connectionString: ground.database.systemUrl };
  const clock = slowClock;
  const db = createDb({ app: { connectionString: ground.database.appUrl }, system: session, log, clock });
  const memory: HeadMemory = {
    read: (tenantId) => Promise.resolve(ground.heads.get(tenantId) ?? null),
    keep: (tenantId, note) => void ground.heads.set(tenantId, note),
    flush: () => Promise.resolve(),
  };
  const sealer = createSealer({ db, clock, log, key: ground.logKey, memory, session });
  const audit = createAuditWriter({ db, clock, newId, onCommitted: sealer.wake });
  const outbox = createOutbox({ db, log, clock, session });
  const queues = ground.redis.queues();
  const hub = new Hub(program);
  const { service: commands } = createCommandsModule({
    ...{ db, audit, clock, newId, log, link: hub },
    bundleFor: (_tenantId, releaseId, hostId) => Promise.resolve(ground.bundleFor(releaseId, hostId)),
    resultKeyOf: (_tenantId, agentId) => Promise.resolve(ground.resultKeyOf(agentId)),
  });
  const emit = (): Promise<void> => Promise.resolve();
  const { service: groups } = createGroupsModule({ db, audit, newId, emit });
  const dependencies = new DependenciesService({ db, audit, newId, emit });
  const windows = new WindowsService({ db, audit, clock, newId });
  const runs = createRunsModule({
    ...{ db, audit, clock, newId, log, outbox, commands, emit, groups },
    fleet: { setActiveRun },
    frozenAt: (tx, siteIds, atMs) => windows.frozenAt(tx, siteIds, atMs),
    trust: { lockOf: () => Promise.resolve(ground.lockOf()) },
    seal: (tenantId, entryId) => sealer.sealed(tenantId, entryId, { timeoutMs: sealWithinMs }),
  });
  outbox.subscribe(runs.jobs.subscriber(queues));
  sealer.start();
  outbox.start();
  runs.jobs.work(queues);
  runs.jobs.start();
  const server = {
    ...{ program, ground, db, audit, sealer, commands, runs, hub },
    ...{ groups, dependencies, windows },
  };
  hub.server = server;
  return server;
}

export type SimulatedServer = ReturnType<typeof createServer>;
