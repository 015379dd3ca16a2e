import { Redis } from 'ioredis';
import type { Logger } from './log.ts';

export type { Redis };

export interface RedisConnection {
  readonly url: string;
  readonly password?: string;
}

/**
 * Options by use. `request`: somebody waits, so a lost Redis fails at once. `worker`: nobody waits, so it tries for ever.
 * Redis may be emptied at any instant without loss: nothing is kept only there.
 */
function redisOptions(connection: RedisConnection, use: 'request' | 'worker') {
  return {
    ...(connection.password === undefined ? {} : { password: connection.password }),
    connectTimeout: 5_000,
    keepAlive: 30_000,
    enableOfflineQueue: use === 'worker',
    maxRetriesPerRequest: use === 'worker' ? null : 1,
    retryStrategy: (tries: number) => Math.random() * Math.min(5_000, 50 * 2 ** Math.min(tries, 8)),
  };
}

/** Opens a connection that reconnects by itself; a lost one is logged once per loss. */
export function createRedis(connection: RedisConnection, use: 'request' | 'worker', log: Logger): Redis {
  const redis = new Redis(connection.url, redisOptions(connection, use));
  let down = false;
  redis.on('error', (error: Error) => {
    if (down) return;
    down = true;
    log.warn({ err: error, use }, 'Redis cannot be reached');
  });
  redis.on('ready', () => {
    if (down) log.info({ use }, 'Redis is back');
    down = false;
  });
  return redis;
}
