import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { findFreePort } from './database.ts';

export interface TestRedis {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** Starts the distribution's Redis on the loopback, with nothing on disk, and waits until it answers. */
export async function startRedis(): Promise<TestRedis> {
  const port = await findFreePort();
  const server = spawn(
    'redis-server',
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--maxmemory-policy',
      'noeviction',
    ],
    { stdio: 'ignore' },
  );
  const url = `redis://127.0.0.1:${port}/0`;
  const probe = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
  // Until the server listens each try fails: that is what the retries are for.
  probe.on('error', () => undefined);
  await probe.ping();
  probe.disconnect();
  return {
    url,
    stop: async () => {
      const ended = once(server, 'exit');
      server.kill('SIGTERM');
      await ended;
    },
  };
}
