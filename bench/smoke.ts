import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { migrate } from '../server/src/platform/migrations.ts';
import { startDatabases, type StackHandle } from '../stack/stack.ts';
import { treeCpuUs } from './cpu.ts';
import { createFleet, createNaiveTables, storeFleet } from './fleet.ts';
import type { RunReport, RunRequest, ServerStart } from './server.process.ts';

/** Scenario s01: no-op commands to connected simulated agents, the product and the naive design in the same session. */

interface Measured extends RunReport {
  readonly design: RunRequest['design'];
  readonly commands: number;
  readonly inFlight: number;
  readonly perSecond: number;
  readonly cpuUsPerCommand: {
    readonly server: number;
    readonly postgres: number;
    readonly redis: number;
    readonly all: number;
  };
  readonly txPerCommand: number;
  readonly walBytesPerCommand: number;
  readonly diskBytesPerCommand: number;
}

const here = import.meta.dirname;
const root = path.resolve(here, '..');
const options = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    commands: { type: 'string', default: '10000' },
    naive: { type: 'string', default: '1500' },
    agents: { type: 'string', default: '200' },
    tenants: { type: 'string', default: '4' },
  },
}).values;

function say(line: string): void {
  (options.json ? process.stderr : process.stdout).write(`${line}\n`);
}

/** Sends a message and waits for the one answer. */
function ask<T>(child: ChildProcess, message: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (code: number | null): void =>
      reject(new Error(`a process of the benchmark ended with status ${code}`));
    child.once('exit', fail);
    child.once('message', (answer) => {
      child.off('exit', fail);
      resolve(answer as T);
    });
    child.send(message);
  });
}

function connection(stack: StackHandle, role: '' | 'SYSTEM_' | 'OWNER_') {
  const { environment } = stack;
  const url = new URL(environment[`ATLAS_${role}DATABASE_URL`] ?? '');
  url.password = readFileSync(environment[`ATLAS_${role}DATABASE_PASSWORD_FILE`] ?? '', 'utf8').trim();
  return { connectionString: url.href };
}

interface Bystanders {
  readonly client: pg.Client;
  readonly server: ChildProcess;
  readonly postgresPid: number;
  readonly redisPid: number;
}

async function readCounters({ client, server, postgresPid, redisPid }: Bystanders) {
  const { rows } = await client.query<{ tx: string; wal: string; disk: string }>(
    `select (select sum(xact_commit) from pg_stat_database where datname = current_database()) as tx,
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as wal, pg_database_size(current_database()) as disk`,
  );
  const row = rows[0];
  return {
    server: treeCpuUs(server.pid ?? 0),
    postgres: treeCpuUs(postgresPid),
    redis: treeCpuUs(redisPid),
    tx: Number(row?.tx),
    wal: Number(row?.wal),
    disk: Number(row?.disk),
  };
}

// PostgreSQL's own counters are written about once a second.
const settleMs = 2_500;
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, settleMs));

async function measure(around: Bystanders, request: RunRequest): Promise<Measured> {
  await settle();
  const before = await readCounters(around);
  const report = await ask<RunReport>(around.server, { run: request });
  // The sealer follows the commands: what it still has to do belongs to them.
  await settle();
  const after = await readCounters(around);
  const { commands, inFlight, design } = request;
  const per = (key: keyof typeof before): number =>
    Math.round(((after[key] - before[key]) / commands) * 1000) / 1000;
  const cpu = { server: per('server'), postgres: per('postgres'), redis: per('redis') };
  const measured: Measured = {
    design,
    commands,
    inFlight,
    ...report,
    wallMs: Math.round(report.wallMs),
    perSecond: Math.round((commands / report.wallMs) * 1000),
    cpuUsPerCommand: { ...cpu, all: Math.round(cpu.server + cpu.postgres + cpu.redis) },
    txPerCommand: per('tx'),
    walBytesPerCommand: Math.round(per('wal')),
    diskBytesPerCommand: Math.round(per('disk')),
  };
  say(
    `${design.padEnd(6)} ${String(commands).padStart(6)} commands, ${String(inFlight).padStart(5)} in flight: ` +
      `${measured.perSecond}/s, p50 ${report.latenciesMs.p50} ms, p99 ${report.latenciesMs.p99} ms, ` +
      `${measured.cpuUsPerCommand.all} µs CPU a command, ${measured.txPerCommand} tx, ${measured.walBytesPerCommand} B WAL`,
  );
  return measured;
}

interface Budgets {
  readonly s01: Readonly<Record<string, number>>;
}

/** Names of the budgets that were not kept. */
function brokenBudgets(figures: Readonly<Record<string, number>>): string[] {
  const { s01 } = JSON.parse(readFileSync(path.join(here, 'budgets.json'), 'utf8')) as Budgets;
  return Object.entries(s01).flatMap(([name, limit]) => {
    const value = figures[name.replace(/M(in|ax)$/, '')] ?? Number.NaN;
    return (name.endsWith('Min') ? value >= limit : value <= limit)
      ? []
      : [`${name}: ${value}, limit ${limit}`];
  });
}

async function readPid(client: pg.Client): Promise<number> {
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

async function run(stateDir: string): Promise<void> {
  const stack = await startDatabases(stateDir, true);
  const children: ChildProcess[] = [];
  const owner = connection(stack, 'OWNER_');
  const client = new pg.Client(owner);
  const system = new pg.Client(connection(stack, 'SYSTEM_'));
  try {
    await migrate({ ...owner, directory: path.join(root, 'migrations') });
    await client.connect();
    await system.connect();
    say(`preparing ${options.agents} simulated agents`);
    const fleet = await createFleet(Number(options.agents), Number(options.tenants));
    await storeFleet(system, fleet);
    await createNaiveTables(client, fleet);
    const [server, agents] = [
      fork(path.join(here, 'server.process.ts')),
      fork(path.join(here, 'agents.process.ts')),
    ];
    children.push(server, agents);
    const redis = new URL(stack.environment.ATLAS_REDIS_URL ?? '');
    redis.password = stack.secrets.read('redis');
    const start: ServerStart = {
      fleet,
      app: connection(stack, ''),
      system: connection(stack, 'SYSTEM_'),
      redisUrl: redis.href,
    };
    const { port } = await ask<{ port: number }>(server, { start });
    await ask(agents, { port, fleet });
    say(`${options.agents} simulated agents are connected over mutual TLS 1.3`);
    const around = { client, server, postgresPid: await readPid(client), redisPid: redisPidOf(stack) };
    await report(around);
    await ask(server, { stop: true });
  } finally {
    for (const child of children) child.disconnect();
    await client.end();
    await system.end();
    await stack.stop();
  }
}

async function report(around: Bystanders): Promise<void> {
  const [commands, naiveCommands] = [Number(options.commands), Number(options.naive)];
  // Warm both: the first plans of an empty table and a cold JIT measure nothing of interest.
  await ask(around.server, { run: { design: 'atlas', commands: 1000, inFlight: 64 } });
  await ask(around.server, { run: { design: 'naive', commands: 200, inFlight: 64 } });
  const equal = await measure(around, { design: 'atlas', commands: Math.min(commands, 5000), inFlight: 64 });
  const naive = await measure(around, { design: 'naive', commands: naiveCommands, inFlight: 64 });
  const full = await measure(around, { design: 'atlas', commands, inFlight: commands });
  const round = (value: number): number => Math.round(value * 10) / 10;
  const figures = {
    ratioNaive: round(equal.perSecond / naive.perSecond),
    cpuRatioNaive: round(naive.cpuUsPerCommand.all / equal.cpuUsPerCommand.all),
    cpuUsPerCommand: full.cpuUsPerCommand.all,
    txPerCommand: full.txPerCommand,
    walBytesPerCommand: full.walBytesPerCommand,
  };
  const broken = brokenBudgets(figures);
  for (const line of broken) say(`budget not kept: ${line}`);
  say(
    `ratio to the naive design at 64 in flight: ${figures.ratioNaive} in rate, ${figures.cpuRatioNaive} in CPU`,
  );
  const machine = { cpus: cpus().length, load: loadavg().map(round), node: process.version };
  const answer = {
    scenario: 's01',
    ...figures,
    perSecond: full.perSecond,
    agents: 'simulated',
    broken,
    machine,
    runs: [equal, naive, full],
  };
  if (options.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
  if (broken.length > 0) process.exitCode = 1;
}

const stateDir = mkdtempSync(path.join(tmpdir(), 'atlas-bench-'));
try {
  await run(stateDir);
} finally {
  rmSync(stateDir, { recursive: true, force: true });
}
