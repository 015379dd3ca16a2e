import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ResultBatch } from '#contract/results.ts';
import { createCommandsModule } from '../server/src/features/commands/commands.module.ts';
import { createAgentLink } from '../server/src/hosts/agent-link/agentLink.ts';
import type { AgentIdentity } from '../server/src/hosts/port.ts';
import { createAuditWriter } from '../server/src/platform/audit/auditWriter.ts';
import { createHeadMemory } from '../server/src/platform/audit/headMemory.ts';
import { createSealer } from '../server/src/platform/audit/sealer.ts';
import { systemClock, toInstant } from '../server/src/platform/clock.ts';
import { createDb } from '../server/src/platform/db.ts';
import { newId } from '../server/src/platform/ids.ts';
import { createLogger } from '../server/src/platform/log.ts';
import { newLogKey } from '../test/harness/auditLog.ts';
import type { SimulatedAgent, SimulatedFleet } from './fleet.ts';
import { NaiveCommands } from './naive.ts';
import { RawBullmq } from './bullmq.ts';

/** The server's part under measurement: listener, sequencer, audit and sealer of the product, and the naive design beside them. */

export interface ServerStart {
  readonly fleet: SimulatedFleet;
  readonly app: { readonly connectionString: string };
  readonly system: { readonly connectionString: string };
  readonly redisUrl: string;
  /** A Redis of its own for raw BullMQ, which flushes each write. */
  readonly peerRedisUrl: string;
}

export interface RunRequest {
  readonly design: 'atlas' | 'naive' | 'bullmq';
  readonly commands: number;
  readonly inFlight: number;
}

export interface RunReport {
  readonly wallMs: number;
  readonly latenciesMs: { readonly p50: number; readonly p95: number; readonly p99: number };
}

const heartbeatS = 600;

function percentile(sorted: readonly number[], share: number): number {
  return (
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 100) / 100
  );
}

type Audited = ReturnType<typeof openAuditedDatabase>;

/** The database with its audit writer and sealer, as the server composes them. */
function openAuditedDatabase({ app, system }: ServerStart) {
  const log = createLogger({ level: 'warn', role: 'bench' });
  const clock = systemClock;
  const db = createDb({ app, system, log, clock, poolSize: 20 });
  const directory = mkdtempSync(path.join(tmpdir(), 'atlas-bench-'));
  const memory = createHeadMemory(directory, (error) => log.warn({ err: error }));
  const sealer = createSealer({ db, clock, log, key: newLogKey(), memory, session: system });
  const audit = createAuditWriter({ db, clock, newId, onCommitted: sealer.wake });
  sealer.start();
  return { db, audit, sealer, clock, log, directory };
}

/** The listener with mutual TLS, and the commands with their sequencer behind it. */
function openCommands({ db, audit, clock, log }: Audited, fleet: SimulatedFleet) {
  const byId = new Map(fleet.agents.map((agent) => [agent.agentId, agent]));
  const tls = {
    keyPem: fleet.serverKeyPem,
    chainPem: fleet.serverCertificatePem,
    clientRootsPem: [fleet.caPem],
  };
  const link = createAgentLink({
    host: '127.0.0.1',
    port: 0,
    clock,
    log,
    heartbeatS,
    tls: () => Promise.resolve(tls),
  });
  const { service } = createCommandsModule({
    db,
    audit,
    clock,
    newId,
    log,
    link,
    bundleFor: () => Promise.reject(new Error('nothing is released here')),
    resultKeyOf: (_tenantId, agentId) =>
      Promise.resolve(Buffer.from(byId.get(agentId)?.resultPublicKey ?? '', 'base64')),
  });
  const known = (identity: AgentIdentity): SimulatedAgent => {
    const agent = byId.get(identity.agentId);
    if (agent === undefined) throw new Error('an agent that nobody made');
    return agent;
  };
  return { link, service, known };
}

type Commands = ReturnType<typeof openCommands>['service'];

/** Commands that wait for their result. */
class WaitingCommands {
  readonly #waiting = new Map<string, () => void>();

  async run(service: Commands, { tenantId, agentId, hostId }: SimulatedAgent): Promise<void> {
    const principal = { kind: 'system', id: null } as const;
    const { commandId } = await service.submitCommand(tenantId, {
      agentId,
      hostId,
      verb: 'agent.noop',
      principal,
    });
    await new Promise<void>((resolve) => this.#waiting.set(commandId, resolve));
  }

  end(envelopes: readonly { readonly payload: string }[]): void {
    for (const { payload } of envelopes) {
      const { results } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as ResultBatch;
      for (const { commandId } of results) {
        this.#waiting.get(commandId)?.();
        this.#waiting.delete(commandId);
      }
    }
  }
}

async function startServer(start: ServerStart) {
  const { fleet, redisUrl, peerRedisUrl } = start;
  const audited = openAuditedDatabase(start);
  const { link, service, known } = openCommands(audited, fleet);
  const naive = new NaiveCommands({ db: audited.db, redisUrl, send: link.send });
  const raw = new RawBullmq({ redisUrl: peerRedisUrl, send: link.send });
  const waiting = new WaitingCommands();
  const byCertificate = new Map(fleet.agents.map((agent) => [agent.certificateSha256, agent]));
  // The other designs share the agents with the product: who gets a result is a matter of who asked.
  const asked = { design: 'atlas' as RunRequest['design'] };
  await link.start({
    authenticate: (certificate) => {
      const agent = byCertificate.get(certificate.sha256.toString('hex'));
      return Promise.resolve(agent === undefined ? null : { ...agent, generation: 1 });
    },
    connected: async (identity) => {
      const open = await service.connected(identity);
      const resultsHeld = await service.resultsHeld(identity.tenantId, identity.agentId);
      const serverTime = toInstant(audited.clock.now());
      return [{ type: 'welcome', serverTime, heartbeatS, resultsHeld }, ...open];
    },
    disconnected: (identity) => Promise.resolve(service.disconnected(identity)),
    cloned: () => Promise.resolve(),
    frame: async (identity, frame) => {
      if (frame.type !== 'results') return;
      if (asked.design === 'bullmq') return raw.receive(frame);
      if (asked.design === 'naive') return naive.receive(known(identity), frame);
      await service.receiveResults(identity, frame);
      waiting.end(frame.envelopes);
    },
  });
  return {
    port: link.port(),
    run: async (request: RunRequest): Promise<RunReport> => {
      asked.design = request.design;
      if (request.design === 'bullmq') return driveBulk(request, fleet.agents, raw);
      const isNaive = request.design === 'naive';
      const one = (agent: SimulatedAgent): Promise<void> =>
        isNaive ? naive.run(agent) : waiting.run(service, agent);
      return drive(request, fleet.agents, one);
    },
    stop: async () => {
      await naive.close();
      await raw.close();
      await link.stop();
      await service.stop();
      await audited.sealer.stop();
      await audited.db.close();
      rmSync(audited.directory, { recursive: true, force: true });
    },
  };
}

/** Closed loop: as many commands in the air as asked for, until all have a durable result. */
async function drive(
  { commands, inFlight }: RunRequest,
  agents: readonly SimulatedAgent[],
  one: (agent: SimulatedAgent) => Promise<void>,
): Promise<RunReport> {
  const latencies: number[] = [];
  let next = 0;
  const startedMs = performance.now();
  const lane = async (): Promise<void> => {
    while (next < commands) {
      const agent = agents[next % agents.length];
      next += 1;
      const atMs = performance.now();
      if (agent !== undefined) await one(agent);
      latencies.push(performance.now() - atMs);
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, commands) }, lane));
  return reportOf(latencies, performance.now() - startedMs);
}

/** All at once, as the peer's documentation advises; latencies count from the first. */
async function driveBulk(
  { commands }: RunRequest,
  agents: readonly SimulatedAgent[],
  raw: RawBullmq,
): Promise<RunReport> {
  const latencies: number[] = [];
  const startedMs = performance.now();
  await raw.runAll(commands, agents, () => latencies.push(performance.now() - startedMs));
  return reportOf(latencies, performance.now() - startedMs);
}

function reportOf(latencies: number[], wallMs: number): RunReport {
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => percentile(latencies, share);
  return { wallMs, latenciesMs: { p50: at(0.5), p95: at(0.95), p99: at(0.99) } };
}

type Message = { readonly start: ServerStart } | { readonly run: RunRequest } | { readonly stop: true };
let server: Awaited<ReturnType<typeof startServer>> | undefined;

async function obey(message: Message): Promise<unknown> {
  if ('start' in message) {
    server = await startServer(message.start);
    return { port: server.port };
  }
  if (server === undefined) throw new Error('not started');
  if ('run' in message) return server.run(message.run);
  await server.stop();
  return {};
}

process.on('message', (message: Message) => {
  obey(message).then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
