import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { AgentFrame } from '#contract/agent-link.ts';
import { measures, scales, type Measure } from '#contract/metrics.ts';
import { createMetricsModule, type MetricsModule } from '../server/src/features/metrics/metrics.module.ts';
import { parseAgentFrame } from '../server/src/hosts/agent-link/frames.ts';
import type { Clock } from '../server/src/platform/clock.ts';
import { createDb } from '../server/src/platform/db.ts';
import { newId } from '../server/src/platform/ids.ts';
import { createLogger } from '../server/src/platform/log.ts';
import { migrate } from '../server/src/platform/migrations.ts';
import { startDatabases, type StackHandle } from '../stack/stack.ts';
import { brokenBudgets } from './budgets.ts';
import { treeCpuUs } from './cpu.ts';
import { inStateDir, loadNow, machineOf, round } from './scene.ts';

/**
 * Scenario s07: a day of measures, one sample a minute a host, each in a frame of its own as agents send them, through the
 * product's check of frames, intake, packing and roll-up into PostgreSQL. Time goes by as fast as that can be done.
 */

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    agents: { type: 'string', default: '500' },
  },
});

const minuteMs = 60_000;
const hoursPerDay = 24;
const minutesPerHour = 60;

function say(line: string): void {
  (options.json ? process.stderr : process.stdout).write(`${line}\n`);
}

/** Pseudo-random numbers from a seed (mulberry32): each run measures the same day. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Values = Record<Measure, number | null>;
type Host = (minute: number) => Values;

/** A server at work: a daily curve of load with noise on it, bursts of traffic, memory that creeps, a disk that fills. */
function workingHost(random: () => number): Host {
  const busy = 2 + random() * 40;
  const memory = 20 + random() * 60;
  const disk = 20 + random() * 60;
  const swap = random() < 0.5 ? null : random() * 10;
  const noise = (): number => random() + random() - 1;
  return (minute) => {
    const wave = 1 + 0.7 * Math.sin((minute / 1440) * 2 * Math.PI);
    const cpuBusy = Math.max(0, busy * wave * (1 + 0.3 * noise()));
    const traffic = 5 + cpuBusy * 20 * (1 + 0.5 * noise());
    return {
      cpuBusy,
      memoryUsed: memory + wave + 0.5 * noise(),
      swapUsed: swap,
      load1: cpuBusy / 20 + 0.2 * (1 + noise()),
      rootUsed: disk + minute / 5000,
      diskThroughput: random() < 0.3 ? 0 : 20 * (1 + noise()) * (random() < 0.05 ? 100 : 1),
      netReceived: traffic,
      netSent: traffic * (0.5 + 0.2 * noise()),
    };
  };
}

/** What no host measures: every value anywhere on its scale at every minute. Nothing can be more expensive to keep. */
function noisyHost(random: () => number): Host {
  return () =>
    Object.fromEntries(
      measures.map((measure) => {
        const { maxCode, fromCode } = scales[measure];
        return [measure, fromCode(Math.floor(random() * (maxCode + 1)))];
      }),
    ) as Values;
}

/** The frame as an agent writes it. */
function frameText(minute: number, values: Values): string {
  const codes = measures.map((measure) => {
    const value = values[measure];
    return value === null ? null : scales[measure].toCode(value);
  });
  return JSON.stringify({ type: 'metrics', dropped: 0, samples: [[minute, ...codes]] });
}

interface Scene {
  readonly metrics: MetricsModule;
  readonly clock: Clock & { nowMs: number };
  readonly owner: pg.Client;
  readonly postgresPid: number;
}

function connection(stack: StackHandle, role: '' | 'SYSTEM_' | 'OWNER_'): { connectionString: string } {
  const { environment } = stack;
  const url = new URL(environment[`ATLAS_${role}DATABASE_URL`] ?? '');
  url.password = readFileSync(environment[`ATLAS_${role}DATABASE_PASSWORD_FILE`] ?? '', 'utf8').trim();
  return { connectionString: url.href };
}

async function withScene<T>(stateDir: string, work: (scene: Scene) => Promise<T>): Promise<T> {
  const stack = await startDatabases(stateDir, true);
  const [access, system] = [connection(stack, 'OWNER_'), connection(stack, 'SYSTEM_')];
  // The system's role sees the rows of all tenants.
  const owner = new pg.Client(system);
  const log = createLogger({ level: 'warn', role: 'bench' });
  const start = Math.floor(Date.now() / (hoursPerDay * 60 * minuteMs)) * hoursPerDay * 60 * minuteMs;
  const clock = {
    nowMs: start,
    now: () => clock.nowMs,
    sleep: () => new Promise<void>((resolve) => setImmediate(resolve)),
  };
  await migrate({ ...access, directory: path.join(import.meta.dirname, '../migrations') });
  const db = createDb({ app: connection(stack, ''), system, log, clock });
  try {
    await owner.connect();
    const { rows } = await owner.query<{ pid: number }>('select pg_backend_pid() as pid');
    const stat = readFileSync(`/proc/${rows[0]?.pid ?? 0}/stat`, 'utf8');
    const metrics = createMetricsModule({
      ...{ db, clock, log, metrics: { gauge: () => undefined } },
      retention: { samples: 2, hours: 90, days: 1826 },
    });
    await metrics.keeper.tick();
    return await work({ metrics, clock, owner, postgresPid: Number(stat.split(') ')[1]?.split(' ')[1]) });
  } finally {
    await owner.end();
    await db.close();
    await stack.stop();
  }
}

/** Hosts of four tenants, as they stand in the database. */
async function storeHosts(owner: pg.Client, count: number): Promise<{ tenantId: string; hostId: string }[]> {
  const tenants = Array.from({ length: 4 }, () => newId());
  for (const [index, id] of tenants.entries()) {
    await owner.query(`insert into tenants (id, name, slug) values ($1, 'Benchmark', $2)`, [
      id,
      `m-${index}-${id.slice(-8)}`,
    ]);
    await owner.query(
      `insert into sites (id, tenant_id, name, time_zone) values ($1, $1, 'Site', 'Europe/Paris')`,
      [id],
    );
  }
  const hosts = Array.from({ length: count }, (_, index) => ({
    tenantId: tenants[index % tenants.length] ?? '',
    hostId: newId(),
  }));
  await owner.query(
    `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks)
     select h, t, t, 'host-' || h, encode(sha256(h::text::bytea), 'hex'), '[]'
     from unnest($1::uuid[], $2::uuid[]) x (h, t)`,
    [hosts.map(({ hostId }) => hostId), hosts.map(({ tenantId }) => tenantId)],
  );
  return hosts;
}

/** Bytes of the partitions of a table that hold something, indexes included. */
async function bytesOf(owner: pg.Client, table: string): Promise<number> {
  await owner.query('checkpoint').catch(() => undefined);
  const { rows } = await owner.query<{ bytes: string | null }>(
    `select sum(pg_total_relation_size(inhrelid)) as bytes from pg_inherits
     where inhparent = $1::regclass and pg_relation_size(inhrelid) > 0`,
    [table],
  );
  return Number(rows[0]?.bytes ?? 0);
}

const cpuUs = ({ postgresPid }: Scene): { server: number; postgres: number } => {
  const own = process.cpuUsage();
  return { server: own.user + own.system, postgres: treeCpuUs(postgresPid) };
};

/** A day of these hosts: what storing and packing it costs, and how much room it takes in each form. */
async function measureDay(scene: Scene, agents: number, makeHost: (random: () => number) => Host) {
  const { clock, metrics, owner } = scene;
  const random = createRandom(agents);
  const hosts = (await storeHosts(owner, agents)).map((key) => ({ key, at: makeHost(random) }));
  const cost = { storeServer: 0, storePostgres: 0, packServer: 0, packPostgres: 0 };
  const firstMinute = clock.nowMs / minuteMs;
  let values = 0;
  for (let hour = 0; hour < hoursPerDay; hour += 1) {
    const minutes = Array.from({ length: minutesPerHour }, (_, n) => firstMinute + hour * minutesPerHour + n);
    const texts = minutes.map((minute) =>
      hosts.map(({ key, at }) => ({ key, text: frameText(minute, at(minute)) })),
    );
    const before = cpuUs(scene);
    for (const [index, minute] of minutes.entries()) {
      clock.nowMs = minute * minuteMs;
      for (const { key, text } of texts[index] ?? []) {
        const frame = parseAgentFrame(text) as Extract<AgentFrame, { type: 'metrics' }>;
        metrics.intake.record(key, frame);
        values += frame.samples[0]?.slice(1).filter((code) => code !== null).length ?? 0;
      }
      // Agents spread over the minute; a flush takes what a second or more has brought.
      while (settled(metrics) < (hour * minutesPerHour + index + 1) * agents) await delay(2);
    }
    const stored = cpuUs(scene);
    clock.nowMs = (firstMinute + (hour + 1) * minutesPerHour + 6) * minuteMs;
    await metrics.keeper.tick();
    const packed = cpuUs(scene);
    cost.storeServer += stored.server - before.server;
    cost.storePostgres += stored.postgres - before.postgres;
    cost.packServer += packed.server - stored.server;
    cost.packPostgres += packed.postgres - stored.postgres;
  }
  const samples = agents * hoursPerDay * minutesPerHour;
  const { stored } = metrics.intake.counts;
  if (stored !== samples) throw new Error(`${samples} samples were to be stored: ${stored} are`);
  const bytes = async (table: string): Promise<number> =>
    Math.round(((await bytesOf(owner, table)) / values) * 1000) / 1000;
  return {
    samples,
    values,
    rawBytesPerValue: await bytes('metric_samples'),
    packedBytesPerValue: await bytes('metric_hours'),
    rolledUpBytesPerValue: await bytes('metric_days'),
    storeCpuUsPerSample: round((cost.storeServer + cost.storePostgres) / samples),
    packCpuUsPerSample: round((cost.packServer + cost.packPostgres) / samples),
    cpuUsPerSample: round(Object.values(cost).reduce((sum, us) => sum + us, 0) / samples),
  };
}

function settled({ intake: { counts } }: MetricsModule): number {
  return counts.stored + counts.ignored + counts.shed + counts.refused;
}

await inStateDir(async (stateDir) => {
  const agents = Number(options.agents);
  const loadBefore = loadNow();
  const [working, noisy] = [
    await withScene(path.join(stateDir, 'working'), (scene) => measureDay(scene, agents, workingHost)),
    await withScene(path.join(stateDir, 'noisy'), (scene) =>
      measureDay(scene, Math.max(4, Math.round(agents / 10)), noisyHost),
    ),
  ];
  const figures = { ...working, noisePackedBytesPerValue: noisy.packedBytesPerValue };
  const broken = brokenBudgets('s07', figures);
  say(
    `${working.samples} samples of ${agents} hosts: ${working.rawBytesPerValue} B a value raw, ` +
      `${working.packedBytesPerValue} packed (${noisy.packedBytesPerValue} of pure noise), ` +
      `${working.rolledUpBytesPerValue} rolled up; ${working.storeCpuUsPerSample} µs CPU a sample to store, ` +
      `${working.packCpuUsPerSample} to pack and roll up`,
  );
  for (const line of broken) say(`budget not kept: ${line}`);
  const answer = { scenario: 's07', agents: 'simulated', ...figures, broken, machine: machineOf(loadBefore) };
  if (options.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
  if (broken.length > 0) process.exitCode = 1;
});
