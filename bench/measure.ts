import type { ChildProcess } from 'node:child_process';
import type pg from 'pg';
import { treeCpuUs } from './cpu.ts';
import type { RunReport } from './drive.ts';
import type { RunRequest } from './server.process.ts';

/** What one run of one design has cost. */
export interface Measured extends RunReport {
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

/** Whose processor time and bytes are counted. */
export interface Watched {
  readonly client: pg.Client;
  readonly server: ChildProcess;
  readonly postgresPid: number;
  readonly redisPids: readonly number[];
}

/** Sends a message and waits for the one answer. */
export function ask<T>(child: ChildProcess, message: object): Promise<T> {
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

/** Processor time (µs), transactions and bytes so far. */
export async function readCounters({ client, server, postgresPid, redisPids }: Watched) {
  const { rows } = await client.query<{ tx: string; wal: string; disk: string }>(
    `select (select sum(xact_commit) from pg_stat_database where datname = current_database()) as tx,
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as wal, pg_database_size(current_database()) as disk`,
  );
  const row = rows[0];
  return {
    server: treeCpuUs(server.pid ?? 0),
    postgres: treeCpuUs(postgresPid),
    redis: redisPids.reduce((sum, pid) => sum + treeCpuUs(pid), 0),
    tx: Number(row?.tx),
    wal: Number(row?.wal),
    disk: Number(row?.disk),
  };
}

/** Commands of the product and the results that are durable for them: a run that loses one has measured nothing. */
async function countDurable(client: pg.Client): Promise<{ commands: number; results: number }> {
  const { rows } = await client.query<{ commands: string; results: string }>(
    `select (select count(*) from commands) as commands,
       (select coalesce(sum(last_seq - first_seq + 1), 0) from result_frames) as results`,
  );
  return { commands: Number(rows[0]?.commands), results: Number(rows[0]?.results) };
}

// PostgreSQL's own counters are written about once a second.
const settleMs = 2_000;
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, settleMs));

/** Runs commands of one design and says what they cost. Throws when a command or a result of the product is not durable. */
export async function measure(watched: Watched, checks: pg.Client, request: RunRequest): Promise<Measured> {
  const { commands, inFlight, design } = request;
  await settle();
  const held = await countDurable(checks);
  const before = await readCounters(watched);
  const report = await ask<RunReport>(watched.server, { run: request });
  // The sealer follows the commands: what it still has to do belongs to them.
  await settle();
  const after = await readCounters(watched);
  const holds = await countDurable(checks);
  const expected = design === 'atlas' ? commands : 0;
  const made = holds.commands - held.commands;
  const answered = holds.results - held.results;
  if (made !== expected || answered !== expected) {
    throw new Error(`${expected} commands were to be durable: ${made} are, with ${answered} results`);
  }
  const per = (key: keyof typeof before): number =>
    Math.round(((after[key] - before[key]) / commands) * 1000) / 1000;
  const cpu = { server: per('server'), postgres: per('postgres'), redis: per('redis') };
  return {
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
}
