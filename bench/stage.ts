import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { migrate } from '../server/src/platform/migrations.ts';
import { startDatabases, type StackHandle } from '../stack/stack.ts';
import type { AgentsStart } from './agents.process.ts';
import { createFleet, createNaiveTables, storeFleet } from './fleet.ts';
import { ask, type Watched } from './measure.ts';
import type { ServerStart } from './server.process.ts';

const here = import.meta.dirname;

/** Databases, the server's part and connected simulated agents, all fresh. */
export interface Stage {
  readonly watched: Watched;
  readonly agents: ChildProcess;
  /** Connects agents that are not: the first so many of them. */
  readonly connectMore: (count: number) => Promise<void>;
  /** All connected agents leave at once. */
  readonly leave: () => Promise<void>;
  /** They come back. */
  readonly comeBack: () => Promise<void>;
  /** Sees every tenant's rows. */
  readonly system: pg.Client;
  readonly stop: () => Promise<void>;
}

function connection(stack: StackHandle, role: '' | 'SYSTEM_' | 'OWNER_') {
  const { environment } = stack;
  const url = new URL(environment[`ATLAS_${role}DATABASE_URL`] ?? '');
  url.password = readFileSync(environment[`ATLAS_${role}DATABASE_PASSWORD_FILE`] ?? '', 'utf8').trim();
  return { connectionString: url.href };
}

/** The process of PostgreSQL that all its others are children of. */
export async function readPid(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const backend = rows[0]?.pid ?? 0;
  return Number(readFileSync(`/proc/${backend}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);
}

/** Redis writes its address over its command line. */
function redisPidOf({ ports }: StackHandle): number {
  const pid = readdirSync('/proc').find((name) => {
    if (!/^\d+$/.test(name)) return false;
    const line = commandLine(name);
    return line.includes('redis-server') && line.includes(`:${ports.redis}`);
  });
  if (pid === undefined) throw new Error('Redis was not found among the processes');
  return Number(pid);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** A Redis that flushes each write before it answers: what a queue needs so that an acknowledged job survives. */
async function startFlushingRedis(directory: string): Promise<{ process: ChildProcess; url: string }> {
  mkdirSync(directory, { recursive: true });
  const port = await findFreePort();
  const options = [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory],
    ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--maxmemory-policy', 'noeviction'],
  ];
  const process = spawn('redis-server', options, { stdio: 'ignore' });
  for (let tries = 0; tries < 100 && !(await answers(port)); tries += 1) await delay(50);
  return { process, url: `redis://127.0.0.1:${port}` };
}

interface StageOptions extends Pick<AgentsStart, 'effectsFile' | 'fault'> {
  readonly stateDir: string;
  readonly agents: number;
  /** How many of them connect at first; all when absent. */
  readonly connect?: number;
  readonly tenants: number;
  /** Whether the peers run beside the product. */
  readonly peers: boolean;
  readonly say: (line: string) => void;
}

/** Starts everything that a scenario needs. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const { stateDir, agents, tenants, say } = options;
  const stack = await startDatabases(stateDir, true);
  const owner = connection(stack, 'OWNER_');
  const client = new pg.Client(owner);
  const system = new pg.Client(connection(stack, 'SYSTEM_'));
  const children: ChildProcess[] = [];
  const peer = options.peers ? await startFlushingRedis(path.join(stateDir, 'peer-redis')) : null;
  const close = async (): Promise<void> => {
    for (const child of children) if (child.connected) child.disconnect();
    peer?.process.kill();
    await client.end();
    await system.end();
    await stack.stop();
  };
  try {
    await migrate({ ...owner, directory: path.join(here, '..', 'migrations') });
    await client.connect();
    await system.connect();
    say(`preparing ${agents} simulated agents`);
    const fleet = await createFleet(agents, tenants);
    await storeFleet(system, fleet);
    await createNaiveTables(client, fleet);
    const server = fork(path.join(here, 'server.process.ts'));
    const simulated = fork(path.join(here, 'agents.process.ts'));
    children.push(server, simulated);
    const redis = new URL(stack.environment.ATLAS_REDIS_URL ?? '');
    redis.password = stack.secrets.read('redis');
    const start: ServerStart = {
      fleet,
      app: connection(stack, ''),
      system: connection(stack, 'SYSTEM_'),
      ...(peer === null ? {} : { peers: { redisUrl: redis.href, bullmqRedisUrl: peer.url } }),
    };
    const { port } = await ask<{ port: number }>(server, { start });
    const { effectsFile, fault } = options;
    const unconnected = [...fleet.agents];
    const connectMore = async (count: number): Promise<void> => {
      const next: AgentsStart = {
        port,
        fleet: { ...fleet, agents: unconnected.splice(0, count) },
        ...(effectsFile === undefined ? {} : { effectsFile }),
        ...(fault === undefined ? {} : { fault }),
      };
      await ask(simulated, { connect: next });
    };
    await connectMore(options.connect ?? agents);
    say(`${options.connect ?? agents} simulated agents are connected over mutual TLS 1.3`);
    const redisPids = [redisPidOf(stack), ...(peer?.process.pid === undefined ? [] : [peer.process.pid])];
    return {
      watched: { client, server, postgresPid: await readPid(client), redisPids },
      agents: simulated,
      connectMore,
      leave: () => ask(simulated, { leave: true }),
      comeBack: () => ask(simulated, { back: { port, fleet } }),
      system,
      stop: async () => {
        // A server that has ended already has said so to whoever asked it last.
        if (server.connected) await ask(server, { stop: true });
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
