import { spawn } from 'node:child_process';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { LiveFault, Stage } from './fault.ts';
import type { Installation } from './installation.ts';
import { TcpProxy } from './tcpProxy.ts';

const second = 1000;

async function withClient<T>(
  installation: Installation,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: installation.urlOf('postgres') });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Locks a table that everybody needs. */
async function holdTable(installation: Installation, table: string, lastsMs: number): Promise<void> {
  await withClient(installation, async (client) => {
    await client.query('begin');
    await client.query(`lock table ${table} in access exclusive mode`);
    await delay(lastsMs);
    await client.query('rollback');
  });
}

async function endSessions(installation: Installation): Promise<number> {
  const rows = await installation.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'atlas-%'`,
  );
  return rows.length;
}

/** Takes every connection that PostgreSQL has to give. */
async function takeConnections(installation: Installation, lastsMs: number): Promise<number> {
  const clients: pg.Client[] = [];
  try {
    for (;;) {
      const client = new pg.Client({ connectionString: installation.urlOf('atlas_owner') });
      client.on('error', () => undefined);
      await client.connect();
      clients.push(client);
    }
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
  }
  await endSessions(installation);
  await delay(lastsMs);
  await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  return clients.length;
}

const shape = `select md5(string_agg(line, chr(10) order by line)) as shape from (
  select table_name || ' ' || column_name || ' ' || data_type || ' ' || coalesce(column_default, '') as line
    from information_schema.columns where table_schema = 'public'
  union all select tablename || ' ' || policyname || ' ' || coalesce(qual, '') from pg_policies
  union all select indexdef from pg_indexes where schemaname = 'public') lines`;

/** Brings a database to this version in a program of its own. `ended` tells whether it came to its end. */
function startMigration(
  installation: Installation,
  connectionString: string,
): { readonly kill: () => void; readonly ended: Promise<boolean> } {
  const program = path.join(installation.directories.root, 'server/src/main.ts');
  const { ATLAS_OWNER_DATABASE_PASSWORD_FILE: _, ...rest } = installation.environment;
  const child = spawn(process.execPath, [program, 'migrate'], {
    env: { ...process.env, ...rest, ATLAS_OWNER_DATABASE_URL: connectionString },
    stdio: 'ignore',
  });
  const ended = new Promise<boolean>((resolve) => child.once('exit', (code) => resolve(code === 0)));
  return { kill: () => child.kill('SIGKILL'), ended };
}

/** Kills the migration each time a certain number of bytes has left it, until a try survives. */
async function killMigrations({
  world,
  chance,
  isSmoke,
  say,
}: Stage): Promise<{ kills: number; broken: string[] }> {
  const { installation } = world;
  const database = 'atlas_migrated';
  await installation.query(`create database ${database} owner atlas_owner`, [], 'postgres');
  await installation.query('alter schema public owner to atlas_owner', [], database);
  const proxy = await TcpProxy.open({ port: installation.postgresPort });
  let kills = 0;
  try {
    for (let bytes = 400; ; bytes += chance.between(500, isSmoke ? 40_000 : 4_000)) {
      const migration = startMigration(installation, installation.urlOf('atlas_owner', database, proxy.port));
      proxy.become({
        onBytes: (total, cut) => {
          if (total < bytes) return;
          migration.kill();
          cut();
        },
      });
      const isDone = await migration.ended;
      if (isDone) break;
      kills += 1;
      if (kills % 10 === 0) say(`${kills} migrations killed`);
      if (kills > 400) throw new Error('the migration never came to its end');
    }
    const [whole] = await installation.query<{ shape: string }>(shape);
    const [pieced] = await installation.query<{ shape: string }>(shape, [], database);
    const broken =
      whole?.shape === pieced?.shape ? [] : ['the schema differs from one that was made in one go'];
    return { kills, broken };
  } finally {
    await proxy.close();
    await installation.query(`drop database if exists ${database} with (force)`, [], 'postgres');
  }
}

/** Puts a copy of the database in the place of the database, or makes one; nobody is connected meanwhile. */
async function copyDatabase(installation: Installation, from: string, to: string): Promise<void> {
  const run = (text: string) => installation.query(text, [], 'postgres');
  await run('alter database atlas with allow_connections false');
  try {
    await run(`select pg_terminate_backend(pid) from pg_stat_activity where datname in ('${from}', '${to}')`);
    if (to === 'atlas') {
      // As whoever restores does: no server goes on with what it remembers.
      process.kill(installation.pidOf('server'), 'SIGKILL');
      await run('drop database atlas with (force)');
    }
    await run(`create database ${to} template ${from} owner atlas_owner`);
  } finally {
    await run('alter database atlas with allow_connections true');
  }
}

export const databases: readonly LiveFault[] = [
  {
    ids: ['F37'],
    kind: 'live',
    title: 'PostgreSQL refuses: locks, statement time-outs, ended sessions, no connection left',
    method:
      'a needed table locked for 5 and 20 s; every session of the server ended three times; every connection taken for 8 s',
    invariant: 'I1, I2, I5: tried again within bounds, nothing lost',
    mayHarmHosts: true,
    inject: async ({ world, isSmoke, say }) => {
      const { installation } = world;
      await world.beginRun();
      for (const table of ['commands', 'audit_entries']) {
        say(`${table} is locked`);
        await holdTable(installation, table, (isSmoke ? 4 : 20) * second);
      }
      for (let round = 0; round < 3; round += 1) {
        await endSessions(installation);
        await delay(second);
      }
      const count = await takeConnections(installation, (isSmoke ? 4 : 8) * second);
      return { seen: `${count} connections taken` };
    },
  },
  {
    ids: ['F39'],
    kind: 'live',
    title: 'Migration killed again and again on its way',
    method:
      'own TCP proxy counts bytes towards PostgreSQL; at each count of chance the program gets SIGKILL and its connection ends',
    invariant: 'each migration is whole or absent; the end is the schema that one go gives',
    inject: async (stage) => {
      const { kills, broken } = await killMigrations(stage);
      return { seen: `${kills} kills`, broken };
    },
  },
  {
    ids: ['F41'],
    kind: 'live',
    spoils: true,
    title: 'Server’s database rolled back to an older copy',
    method:
      'the server is killed and a copy of the database put in its place, after more readings and a whole run',
    invariant: 'I2, I6: seen at once, nothing is run again; the log is halted until people decide',
    inject: async ({ world, say }) => {
      const { installation } = world;
      await copyDatabase(installation, 'atlas', 'atlas_night');
      await world.served(Date.now(), 60 * second);
      await world.beginRun();
      await world.rest(120 * second);
      const judged = await world.judge({ mayHarmHosts: false, forgetful: [], runIds: [] });
      say('the database of the night before takes the place of today’s');
      await copyDatabase(installation, 'atlas_night', 'atlas');
      const before = await effectsOf(world);
      world.load.start();
      await delay(25 * second);
      await world.load.stop();
      const isHalted = installation.logOf('server').includes('it is halted');
      const broken = [
        ...judged.broken,
        ...(isHalted ? [] : ['the server does not say that its log went back']),
      ];
      const now = await effectsOf(world);
      const again = now.filter((one, index, all) => all.indexOf(one) !== index);
      if (again.length > 0) broken.push(`I2: ${again.length} effects happened again after the roll-back`);
      broken.push(...(await world.gaps()));
      const readings = now.length - before.length;
      return {
        ...{ isFinal: true, broken },
        seen: `the log is halted; agents told again what was lost; ${readings} readings and no change after it`,
      };
    },
  },
];

async function effectsOf({ hosts }: Stage['world']): Promise<string[]> {
  const all = await Promise.all(hosts.map((host) => host.effects()));
  return all.flat().map(({ kind, commandId }) => `${kind} ${commandId}`);
}
