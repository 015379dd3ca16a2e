import type pg from 'pg';
import type { Clock } from './clock.ts';
import type { Logger } from './log.ts';
import type { DatabaseAccess } from './primary/addresses.ts';
import { soleAddress, type Primary } from './primary/primary.ts';

/** A connection of the system role; to the first address unless `primary` says which one is written to. */
export interface SessionAccess extends DatabaseAccess {
  readonly primary?: Primary;
}

interface SessionOptions {
  readonly access: SessionAccess;
  /** What the database's activity list shows. */
  readonly name: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly retryMs: number;
  readonly stopping: AbortSignal;
  /** Channels whose notifications are heard. */
  readonly channels: readonly string[];
  readonly heard: (channel: string, payload: string) => void;
  /** Works on the open session and returns when it is told to stop. `lost` fires, with the reason, when the session is gone. */
  readonly live: (client: pg.Client, lost: AbortSignal) => Promise<void>;
}

/**
 * Holds one session of its own with the database until told to stop, and opens another whenever it is lost: what lives
 * with a session, locks and notifications, cannot come out of a pool.
 */
export async function keepSession(options: SessionOptions): Promise<void> {
  const { clock, log, name, retryMs, stopping } = options;
  while (!stopping.aborted) {
    try {
      await openSession(options);
    } catch (error) {
      log.warn({ err: error, session: name }, 'a session with the database was lost; another is opened');
      await clock.sleep(retryMs, stopping);
    }
  }
}

async function openSession({ access, name, channels, heard, live }: SessionOptions): Promise<void> {
  const { password, primary = soleAddress } = access;
  await primary.found();
  const client = primary.open(access, {
    ...(password === undefined ? {} : { password }),
    application_name: name,
    keepAlive: true,
  });
  const lost = new AbortController();
  client.on('error', (error) => lost.abort(error));
  client.on('end', () => lost.abort(new Error('the session ended')));
  client.on('notification', ({ channel, payload }) => heard(channel, payload ?? ''));
  await client.connect();
  try {
    await primary.confirm(client);
    await client.query(channels.map((channel) => `listen ${channel}`).join('; '));
    await live(client, lost.signal);
  } finally {
    await client.end().catch(() => undefined);
  }
}
