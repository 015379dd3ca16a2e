import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { unpackResults, type ResultBatch } from '#contract/results.ts';
import type { Books } from './reckoning.ts';

const digitsOf = (id: string): string => id.replaceAll('-', '');

/** Commands and results as the database and its audit log have them. The connection is the system role's. */
export async function readDatabaseBooks(
  client: pg.Client,
): Promise<Pick<Books, 'stored' | 'results' | 'audited'>> {
  const { rows } = await client.query<{ id: string }>('select id from commands');
  return {
    stored: rows.map(({ id }) => digitsOf(id)),
    results: await readResults(client),
    audited: {
      commands: await countAudited(client, 'dispatched'),
      results: await countAudited(client, 'result'),
    },
  };
}

/** What stands in the signed bytes, an agent at a time. */
async function readResults(client: pg.Client): Promise<string[]> {
  const { rows: agents } = await client.query<{ id: string }>('select id from agents');
  const found: string[] = [];
  for (const { id } of agents) {
    const frames = await client.query<{ payload: Buffer }>(
      'select payload from result_frames where agent_id = $1',
      [id],
    );
    for (const { payload } of frames.rows) {
      const batch = JSON.parse(payload.toString('utf8')) as ResultBatch;
      found.push(...unpackResults(batch).map(({ commandId }) => digitsOf(commandId)));
    }
  }
  return found;
}

async function countAudited(client: pg.Client, what: 'dispatched' | 'result'): Promise<number> {
  const { rows } = await client.query<{ count: string }>(
    `select coalesce(sum((convert_from(leaf, 'utf8')::jsonb #>> '{details,count}')::int), 0) as count
     from audit_entries where action = $1`,
    [`command.${what}`],
  );
  return Number(rows[0]?.count);
}

const sealWithinMs = 60_000;

/** Waits until every entry has its place in the log. Throws when the sealer does not get there. */
export async function awaitSealed(client: pg.Client): Promise<void> {
  const deadlineMs = performance.now() + sealWithinMs;
  while (performance.now() < deadlineMs) {
    const { rows } = await client.query<{ pending: string }>('select count(*) as pending from audit_pending');
    if (rows[0]?.pending === '0') return;
    await delay(250);
  }
  throw new Error(`entries of the audit log still wait for their place after ${sealWithinMs} ms`);
}
