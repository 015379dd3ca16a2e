import { sql } from 'kysely';
import type { LiveEvent } from '#contract/tenants.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';

export interface EventDraft {
  readonly type: string;
  readonly subjectId: string | null;
  readonly data: Record<string, unknown>;
  readonly at: Date;
}

/** How many events a tenant gets at once. */
export interface Wanted {
  readonly tenantId: string;
  readonly count: number;
}

/**
 * Gives each tenant the next `count` numbers of its sequence, and tells the last of them. Locks the sequences until the
 * commit.
 */
export async function takeNumbers(tx: SystemTx, wanted: readonly Wanted[]): Promise<Map<string, number>> {
  const { rows } = await sql<{ tenant_id: string; last_seq: number }>`
    /* prepared events.numbers */
    insert into event_heads (tenant_id, last_seq)
    select * from unnest(
      ${wanted.map(({ tenantId }) => tenantId)}::uuid[], ${wanted.map(({ count }) => count)}::bigint[]
    ) as w (tenant_id, count)
    order by w.tenant_id
    on conflict (tenant_id) do update set last_seq = event_heads.last_seq + excluded.last_seq
    returning tenant_id, last_seq
  `.execute(tx);
  return new Map(rows.map(({ tenant_id, last_seq }) => [tenant_id, last_seq]));
}

/** Writes events of any tenants, each under the number that it was given. */
export async function appendEvents(
  tx: SystemTx,
  events: readonly (EventDraft & { readonly tenantId: string; readonly seq: number })[],
): Promise<void> {
  await sql`
    /* prepared events.append */
    insert into events (tenant_id, seq, type, subject_id, data, at)
    select * from unnest(
      ${events.map(({ tenantId }) => tenantId)}::uuid[], ${events.map(({ seq }) => seq)}::bigint[],
      ${events.map(({ type }) => type)}::text[], ${events.map(({ subjectId }) => subjectId)}::uuid[],
      ${events.map(({ data }) => JSON.stringify(data))}::jsonb[], ${events.map(({ at }) => at)}::timestamptz[]
    )
  `.execute(tx);
}

/** Events after the number, oldest first. */
export async function listEvents(tx: TenantTx, after: number, limit: number): Promise<LiveEvent[]> {
  const rows = await tx
    .selectFrom('events')
    .select(['seq', 'type', 'subject_id', 'data', 'at'])
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    seq: row.seq,
    at: toInstant(row.at),
    type: row.type as LiveEvent['type'],
    subjectId: row.subject_id,
    data: row.data as Record<string, unknown>,
  }));
}

/** The newest number; 0 before the first event. */
export async function lastSeq(tx: TenantTx): Promise<number> {
  const row = await tx.selectFrom('event_heads').select('last_seq').executeTakeFirst();
  return row?.last_seq ?? 0;
}

export async function removeOldEvents(tx: SystemTx, before: Date): Promise<void> {
  await tx.deleteFrom('events').where('at', '<', before).execute();
}
