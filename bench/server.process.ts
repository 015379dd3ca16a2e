import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../server/src/platform/errors.ts';
import { RawBullmq } from './bullmq.ts';
import {
  driveClosed,
  driveOpen,
  reportOf,
  type OpenReport,
  type OpenRequest,
  type RunReport,
} from './drive.ts';
import type { SimulatedAgent, SimulatedFleet } from './fleet.ts';
import { openHosts } from './hosts.ts';
import { Ledger } from './ledger.ts';
import { NaiveCommands } from './naive.ts';
import {
  openAuditedDatabase,
  openCommands,
  verifyLogs,
  WaitingCommands,
  type LogVerdict,
} from './product.ts';

/** The server's part under measurement: listener, sequencer, audit and sealer of the product, and the peers beside them. */

export interface ServerStart {
  readonly fleet: SimulatedFleet;
  readonly app: { readonly connectionString: string };
  readonly system: { readonly connectionString: string };
  /** Absent when the product is alone. */
  readonly peers?: {
    readonly redisUrl: string;
    /** A Redis of its own for raw BullMQ, which flushes each write. */
    readonly bullmqRedisUrl: string;
  };
}

export interface RunRequest {
  readonly design: 'atlas' | 'naive' | 'bullmq';
  readonly commands: number;
  readonly inFlight: number;
}

/** An open loop of the product's commands; those that were accepted are written to the file. */
export interface LoadRequest extends OpenRequest {
  /** Offered first, and reckoned with like the others: only their latency is not counted. */
  readonly warmUp: Pick<OpenRequest, 'commands' | 'durationMs'>;
  readonly ledgerFile: string;
}

export interface LoadReport extends OpenReport {
  /** Submissions that were told to come again. */
  readonly refused: number;
}

function openPeers(start: ServerStart, db: ReturnType<typeof openAuditedDatabase>['db'], send: SendFrame) {
  if (start.peers === undefined) return null;
  const { redisUrl, bullmqRedisUrl } = start.peers;
  return {
    naive: new NaiveCommands({ db, redisUrl, send }),
    raw: new RawBullmq({ redisUrl: bullmqRedisUrl, send }),
  };
}

type SendFrame = ReturnType<typeof openCommands>['link']['send'];

async function startServer(start: ServerStart) {
  const { fleet } = start;
  const audited = openAuditedDatabase(start);
  const { link, service, known } = openCommands(audited, fleet, (tenantId, agentId) =>
    hosts.agents.resultKeyOf(tenantId, agentId),
  );
  const peers = openPeers(start, audited.db, link.send);
  const waiting = new WaitingCommands();
  const hosts = openHosts({ audited, system: start.system, link, commands: service });
  // The other designs share the agents with the product: who gets a result is a matter of who asked.
  const asked = { design: 'atlas' as RunRequest['design'] };
  await link.start({
    ...hosts.handlers,
    frame: async (identity, frame) => {
      if (frame.type !== 'results') return;
      if (asked.design === 'bullmq') return peers?.raw.receive(frame);
      if (asked.design === 'naive') return peers?.naive.receive(known(identity), frame);
      await hosts.handlers.frame(identity, frame);
      waiting.end(frame.envelopes);
    },
  });
  return {
    port: link.port(),
    run: async (request: RunRequest): Promise<RunReport> => {
      asked.design = request.design;
      if (request.design === 'atlas')
        return driveClosed(request, fleet.agents, (agent) => waiting.run(service, agent));
      if (peers === null) throw new Error('the peers were not started');
      if (request.design === 'bullmq') return driveBulk(request, fleet.agents, peers.raw);
      return driveClosed(request, fleet.agents, (agent) => peers.naive.run(agent));
    },
    load: (request: LoadRequest) =>
      load(request, fleet.agents, (agent, accepted) => waiting.run(service, agent, accepted)),
    verify: async (): Promise<{ logs: LogVerdict[] }> => {
      const tenantIds = [...new Set(fleet.agents.map(({ tenantId }) => tenantId))];
      return { logs: await verifyLogs(audited, tenantIds) };
    },
    stop: async () => {
      await peers?.naive.close();
      await peers?.raw.close();
      await link.stop();
      await service.stop();
      await hosts.outbox.stop();
      await audited.sealer.stop();
      await audited.db.close();
      rmSync(audited.directory, { recursive: true, force: true });
    },
  };
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

type Submit = (agent: SimulatedAgent, accepted: (commandId: string) => void) => Promise<void>;

async function load(
  request: LoadRequest,
  agents: readonly SimulatedAgent[],
  submit: Submit,
): Promise<LoadReport> {
  const ledger = new Ledger(request.ledgerFile);
  const accepted = (commandId: string): void => ledger.add(commandId);
  let refused = 0;
  // Who is told to come again does: such a command is late, not lost.
  const one = async (agent: SimulatedAgent): Promise<void> => {
    for (;;) {
      try {
        return await submit(agent, accepted);
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'overloaded') throw error;
        refused += 1;
        await delay(1_000);
      }
    }
  };
  try {
    const toNext = async (index: number): Promise<void> => {
      const agent = agents[index % agents.length];
      if (agent !== undefined) await one(agent);
    };
    const { failures } = await driveOpen({ ...request, ...request.warmUp }, toNext);
    const report = await driveOpen(request, toNext);
    return { ...report, refused, failures: [...failures, ...report.failures] };
  } finally {
    ledger.close();
  }
}

type Message =
  | { readonly start: ServerStart }
  | { readonly run: RunRequest }
  | { readonly load: LoadRequest }
  | { readonly verify: true }
  | { readonly stop: true };
let server: Awaited<ReturnType<typeof startServer>> | undefined;

async function obey(message: Message): Promise<unknown> {
  if ('start' in message) {
    server = await startServer(message.start);
    return { port: server.port };
  }
  if (server === undefined) throw new Error('not started');
  if ('run' in message) return server.run(message.run);
  if ('load' in message) return server.load(message.load);
  if ('verify' in message) return server.verify();
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
