import type { Duplex } from 'node:stream';
import pg from 'pg';
import { nameOf } from './addresses.ts';
import type { Sight } from './primary.policy.ts';

/** One address, looked at again and again over one connection that is made anew whenever it is lost. */
export interface Post {
  readonly name: string;
  /** Never throws: what does not answer is away. */
  readonly look: () => Promise<Sight>;
  readonly close: () => void;
}

interface Row {
  readonly systemId: string;
  readonly isStandby: boolean;
  readonly walFile: string | null;
  readonly position: string | null;
  readonly names: string;
  readonly commit: string;
  readonly received: string | null;
  readonly replayed: string | null;
  readonly isStreaming: boolean;
}

// The file's name begins with the timeline that is written now; the control file would tell it only after a checkpoint.
const question = `select (pg_control_system()).system_identifier::text as "systemId", pg_is_in_recovery() as "isStandby",
  case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_lsn()) end as "walFile",
  case when not pg_is_in_recovery() then (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text end as position,
  current_setting('synchronous_standby_names') as names, current_setting('synchronous_commit') as commit,
  (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::text as received,
  (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text as replayed,
  exists (select from pg_stat_wal_receiver) as "isStreaming"`;

const limitMs = 2_000;

/** Ends a connection here and now: one to a machine that is gone would wait for a farewell that never comes. */
export function cut(client: pg.ClientBase): void {
  (client as unknown as { connection?: { stream?: Duplex } }).connection?.stream?.destroy();
}

function sightOf(row: Row): Sight {
  const { systemId, walFile } = row;
  if (row.isStandby || walFile === null)
    return {
      ...{ kind: 'standby', systemId, isStreaming: row.isStreaming },
      received: Number(row.received ?? row.replayed ?? 0),
      replayed: Number(row.replayed ?? 0),
    };
  return {
    ...{ kind: 'primary', systemId, timeline: timelineOf(walFile), position: Number(row.position) },
    isSynchronous: row.names.trim() !== '' && ['on', 'remote_apply'].includes(row.commit),
  };
}

/** The timeline in the name of a file of the write-ahead log: its first eight hexadecimal digits. */
function timelineOf(walFile: string): number {
  return Number.parseInt(walFile.slice(0, 8), 16);
}

/** The timeline that this very connection writes to; null on a standby. */
export async function timelineHere(client: pg.ClientBase): Promise<number | null> {
  const { rows } = await client.query<{ walFile: string | null }>(
    `select case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_lsn()) end as "walFile"`,
  );
  const walFile = rows[0]?.walFile ?? null;
  return walFile === null ? null : timelineOf(walFile);
}

/** Watches over one address with the role of that connection string. */
export function createPost(connectionString: string): Post {
  let client: pg.Client | null = null;
  const lose = (): void => {
    if (client !== null) cut(client);
    client = null;
  };
  const connect = async (): Promise<pg.Client> => {
    const fresh = new pg.Client({
      ...{ connectionString, application_name: 'atlas-watch', connectionTimeoutMillis: limitMs },
      ...{ query_timeout: limitMs, statement_timeout: limitMs, keepAlive: true },
    });
    // The next look finds out, and says why.
    fresh.on('error', () => undefined);
    await fresh.connect();
    return fresh;
  };
  return {
    name: nameOf(connectionString),
    look: async () => {
      try {
        client ??= await connect();
        const [row] = (await client.query<Row>(question)).rows;
        if (row === undefined) throw new Error('no answer');
        return sightOf(row);
      } catch (error) {
        lose();
        return { kind: 'away', why: error instanceof Error ? error.message : String(error) };
      }
    },
    close: lose,
  };
}
