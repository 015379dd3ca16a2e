import { sql } from 'kysely';
import type { Db } from '../db.ts';

/** A place of the tree with what is stored for it; `leaf` is null when the entry is gone. */
export interface LeafRow {
  readonly index: number;
  readonly entryId: string;
  readonly storedHash: Buffer;
  readonly leaf: Buffer | null;
  readonly columns: {
    readonly at: string;
    readonly action: string;
    readonly actorKind: string;
    readonly actorId: string | null;
    readonly subjectType: string;
    readonly subjectId: string | null;
    readonly outcome: string;
  };
}

export interface CheckpointRow {
  readonly size: number;
  readonly root: Buffer;
  readonly note: string;
  readonly leafHashes: Buffer;
}

export interface WitnessRow {
  readonly agentId: string;
  readonly size: number;
  readonly root: Buffer;
  readonly signature: Buffer;
  readonly publicKey: Buffer;
}

const leavesAPage = 1000;
// Each row carries the hashes of up to one flush.
const checkpointsAPage = 50;

/** Every place of a log below `size`, in order; short transactions, one for each page, so that a long reading holds no connection. */
export async function* readLeafRows(db: Db, tenantId: string, size: number): AsyncGenerator<LeafRow> {
  let next = 0;
  for (;;) {
    const rows = await db.inTenant(tenantId, async (tx) => {
      const page = await sql<LeafRow>`
        select l.leaf_index as index, l.entry_id as "entryId", l.leaf_hash as "storedHash", e.leaf,
          jsonb_build_object(
            'at', to_char(e.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'action', e.action, 'actorKind', e.actor_kind,
            'actorId', e.actor_id, 'subjectType', e.subject_type, 'subjectId', e.subject_id, 'outcome', e.outcome) as columns
        from audit_leaves l
        left join audit_entries e on e.tenant_id = l.tenant_id and e.entry_id = l.entry_id
        where l.tenant_id = ${tenantId} and l.leaf_index >= ${next} and l.leaf_index < ${size}
        order by l.leaf_index
        limit ${leavesAPage}`.execute(tx);
      return page.rows;
    });
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < leavesAPage) return;
    next = last.index + 1;
  }
}

/** Every stored checkpoint up to `size`, smallest first. */
export async function* readCheckpointRows(
  db: Db,
  tenantId: string,
  size: number,
): AsyncGenerator<CheckpointRow> {
  let after = 0;
  for (;;) {
    const rows = await db.inTenant(tenantId, (tx) =>
      tx
        .selectFrom('audit_checkpoints')
        .select(['tree_size as size', 'root', 'note', 'leaf_hashes as leafHashes'])
        .where('tenant_id', '=', tenantId)
        .where('tree_size', '>', after)
        .where('tree_size', '<=', size)
        .orderBy('tree_size')
        .limit(checkpointsAPage)
        .execute(),
    );
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.size;
  }
}

/** The witnesses' cosignatures, smallest tree first. */
export function readWitnessRows(db: Db, tenantId: string): Promise<WitnessRow[]> {
  return db.inTenant(tenantId, (tx) =>
    tx
      .selectFrom('audit_witness')
      .select(['agent_id as agentId', 'tree_size as size', 'root', 'signature', 'public_key as publicKey'])
      .where('tenant_id', '=', tenantId)
      .orderBy('tree_size')
      .execute(),
  );
}

/** A stored full tile. */
export async function readTileHashes(
  db: Db,
  tenantId: string,
  tile: { level: number; index: number },
): Promise<{ hashes: Buffer; root: Buffer } | undefined> {
  return db.inTenant(tenantId, (tx) =>
    tx
      .selectFrom('audit_tiles')
      .select(['hashes', 'root'])
      .where('tenant_id', '=', tenantId)
      .where('level', '=', tile.level)
      .where('tile_index', '=', tile.index)
      .executeTakeFirst(),
  );
}

/** Rows of each kind in one snapshot: every entry is either sealed or waits, and no place lies beyond the newest checkpoint. */
export async function countRows(
  db: Db,
  tenantId: string,
): Promise<{ entries: number; leaves: number; pending: number; beyond: number | null }> {
  return db.inTenant(tenantId, async (tx) => {
    const { rows } = await sql<{ entries: number; leaves: number; pending: number; beyond: number | null }>`
      select
        (select count(*) from audit_entries where tenant_id = ${tenantId}) as entries,
        (select count(*) from audit_leaves where tenant_id = ${tenantId}) as leaves,
        (select count(*) from audit_pending where tenant_id = ${tenantId}) as pending,
        (select min(leaf_index) from audit_leaves where tenant_id = ${tenantId}
          and leaf_index >= coalesce((select max(tree_size) from audit_checkpoints where tenant_id = ${tenantId}), 0)) as beyond
    `.execute(tx);
    return rows[0] ?? { entries: 0, leaves: 0, pending: 0, beyond: null };
  });
}
