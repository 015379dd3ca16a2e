import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { writeWhole } from './files.ts';
import type { Secrets } from './secrets.ts';
import type { Service } from './unit.ts';

export type RedisOptions = { stateDir: string; port: number; secrets: Secrets; durable: boolean };

/** Name of the only Redis user; the default one is off. */
export const redisUser = 'atlas';

/** The distribution's Redis: loopback, one user with a password, never evicts, append-only file every second. */
export function createRedisService(options: RedisOptions): Service {
  const folder = path.join(options.stateDir, 'redis');
  const configuration = path.join(folder, 'redis.conf');
  return {
    kind: 'service',
    name: 'redis',
    after: [],
    prepare: async () => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeWhole(configuration, renderConfiguration(options, folder), 0o600);
      await Promise.resolve();
    },
    command: () => ({ file: 'redis-server', args: [configuration], cwd: folder }),
    isReady: () => answers(options),
    readyTimeoutMs: 30_000,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 10_000,
  };
}

function renderConfiguration(options: RedisOptions, folder: string): string {
  const passwordDigest = createHash('sha256').update(options.secrets.read('redis')).digest('hex');
  // Of the dangerous commands queues need three: INFO, the eviction policy, and names for their connections.
  const rights =
    '~* &* +@all -@admin -@dangerous +info +config|get +client -client|kill -client|pause -client|no-evict';
  const lines = [
    'bind 127.0.0.1 -::1',
    `port ${options.port}`,
    `dir "${folder}"`,
    'daemonize no',
    'supervised no',
    'maxmemory-policy noeviction',
    options.durable ? 'appendonly yes' : 'appendonly no',
    'appendfsync everysec',
    'save ""',
    'user default off',
    `user ${redisUser} on #${passwordDigest} ${rights}`,
  ];
  return `${lines.join('\n')}\n`;
}

function answers(options: RedisOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: options.port });
    let reply = '';
    socket.setTimeout(2_000, () => socket.destroy());
    socket.on('connect', () =>
      socket.write(`AUTH ${redisUser} ${options.secrets.read('redis')}\r\nPING\r\n`),
    );
    socket.on('data', (chunk: Buffer) => {
      reply += chunk.toString();
      if (reply.includes('+PONG') || reply.includes('-')) socket.end();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(reply.includes('+PONG')));
  });
}
