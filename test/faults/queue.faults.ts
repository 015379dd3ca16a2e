import { existsSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { redisUser } from '../../stack/redis.service.ts';
import type { LiveFault, Stage } from './fault.ts';
import type { Installation } from './installation.ts';

/** Removes every key, as FLUSHALL does; the rights of the product's user leave that command out. */
async function emptyRedis(installation: Installation): Promise<number> {
  const { redisPort: port, secrets } = installation;
  const client = new Redis({ host: '127.0.0.1', port, username: redisUser, password: secrets.read('redis') });
  // Whoever empties Redis while it starts tries again.
  client.on('error', () => undefined);
  try {
    let removed = 0;
    let cursor = '0';
    do {
      const [next, keys] = await client.scan(cursor, 'COUNT', 1000);
      cursor = next;
      if (keys.length > 0) removed += await client.unlink(...keys);
    } while (cursor !== '0');
    return removed;
  } finally {
    client.disconnect();
  }
}

function aofFolder({ stateDir }: Installation): string {
  return path.join(stateDir, 'redis', 'appendonlydir');
}

/** Ends Redis the hard way, does something to its files, and waits until the supervisor has it running again. */
async function killAround({ world }: Stage, change: (folder: string) => string): Promise<string> {
  const { installation } = world;
  const pid = installation.pidOf('redis');
  process.kill(pid, 'SIGKILL');
  const done = change(aofFolder(installation));
  await installation.isBack('redis', pid);
  return done;
}

export const queues: readonly LiveFault[] = [
  {
    ids: ['F08'],
    kind: 'live',
    isSmoke: true,
    title: 'kill -9 of Redis under load',
    method: 'SIGKILL to the pid, orders and readings under way',
    invariant: 'I1, I2, I12: PostgreSQL is the truth',
    inject: async ({ world, chance, isSmoke }) => {
      const rounds = isSmoke ? 1 : 5;
      await world.beginRun();
      for (let round = 0; round < rounds; round += 1) {
        await delay(chance.between(50, 2000));
        const pid = world.installation.pidOf('redis');
        process.kill(pid, 'SIGKILL');
        await world.installation.isBack('redis', pid);
      }
      return { seen: `${rounds} kills` };
    },
  },
  {
    ids: ['F09'],
    kind: 'live',
    isSmoke: true,
    title: 'Redis emptied',
    method: 'every key removed, several times, orders and readings under way',
    invariant: 'I1, I2, I12: rebuilt from PostgreSQL',
    inject: async ({ world, chance, isSmoke }) => {
      await world.beginRun();
      const counts: number[] = [];
      for (let round = 0; round < (isSmoke ? 3 : 10); round += 1) {
        await delay(chance.between(50, 1000));
        counts.push(await emptyRedis(world.installation));
      }
      return { seen: `${counts.length} times, ${counts.reduce((sum, one) => sum + one, 0)} keys removed` };
    },
  },
  {
    ids: ['F10'],
    kind: 'live',
    title: 'Append-only file of Redis cut short, then deleted',
    method: 'SIGKILL; the newest file is cut at a byte of chance; SIGKILL; the folder is removed',
    invariant: 'I1, I2, I12: Redis comes back, with or without its past',
    inject: async (stage) => {
      await stage.world.beginRun();
      await delay(1500);
      const cut = await killAround(stage, (folder) => {
        const name = readdirSync(folder).find((one) => one.endsWith('.incr.aof'));
        if (name === undefined) throw new Error('Redis keeps no append-only file');
        const file = path.join(folder, name);
        const size = stage.chance.between(1, Math.max(1, statSync(file).size - 1));
        truncateSync(file, size);
        return `cut to ${size} bytes`;
      });
      await delay(2000);
      const gone = await killAround(stage, (folder) => {
        rmSync(folder, { recursive: true, force: true });
        return existsSync(folder) ? 'not removed' : 'removed';
      });
      return { seen: `${cut}, then ${gone}` };
    },
  },
];
