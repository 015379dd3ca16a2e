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

/** Gives the next `count` numbers of the tenant's sequence; returns the last of them. Locks the sequence until the commit. */
export async function takeNumbers(tx: SystemTx, tenantId: string, count: number): Promise<number> {
  const { last_seq } = await tx
    .insertInto('event_heads')
    .values({ tenant_id: tenantId, last_seq: count })
    .onConflict((conflict) =>
      conflict.column('tenant_id').doUpdateSet({ last_seq: sql`event_heads.last_seq + excluded.last_seq` }),
    )
    .returning('last_seq')
    .executeTakeFirstOrThrow();
  return last_seq;
}

export async function appendEvents(
  tx: SystemTx,
  tenantId: string,
  events: readonly (EventDraft & { readonly seq: number })[],
): Promise<void> {
  await tx
    .insertInto('events')
    .values(
      events.map(({ seq, type, subjectId, data, at }) => ({
        tenant_id: tenantId,
        seq,
        type,
        subject_id: subjectId,
        data: JSON.stringify(data),
        at,
      })),
    )
    .execute();
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
