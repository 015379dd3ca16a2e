import { sql } from 'kysely';
import { Compile } from 'typebox/compile';
import { AuditLeaf } from '#contract/audit.ts';
import { toInstant, type Clock } from '../clock.ts';
import type { AnyTx, Db } from '../db.ts';
import { invariant } from '../errors.ts';
import type { NewId } from '../ids.ts';
import { toCanonicalText } from './jcs.ts';

/** Largest leaf, bytes: tlog-tiles counts an entry's length in 16 bits. */
export const maxLeafBytes = 65_535;

/** What a caller says; the writer adds the version, the identifier, the tenant and the time. */
export interface AuditDraft extends Omit<AuditLeaf, 'v' | 'id' | 'tenant' | 'at'> {
  /** Needed in a system transaction; in a tenant's one it is that tenant. */
  readonly tenantId?: string;
  /** Given when something else names the entry; made otherwise. */
  readonly entryId?: string;
}

/** An entry as it was written: it counts once the transaction has committed. */
export interface AuditReceipt {
  readonly id: string;
  readonly tenantId: string;
  /** The exact bytes of the leaf. */
  readonly leaf: Buffer;
}

export interface AuditWriter {
  /** Writes one entry in the caller's transaction. Throws InvariantError when the leaf is malformed or longer than 65,535 bytes. */
  readonly record: (tx: AnyTx, draft: AuditDraft) => Promise<AuditReceipt>;
  /** Writes many entries with one statement; same order of identifiers as the drafts. */
  readonly recordMany: (tx: AnyTx, drafts: readonly AuditDraft[]) => Promise<AuditReceipt[]>;
}

interface AuditWriterDeps {
  readonly db: Db;
  readonly clock: Clock;
  readonly newId: NewId;
  /** Called after the commit of a transaction that wrote entries. */
  readonly onCommitted: () => void;
}

const leafSchema = Compile(AuditLeaf);

function serialise(leaf: AuditLeaf): Buffer {
  const bytes = Buffer.from(toCanonicalText(leaf), 'utf8');
  invariant(
    bytes.length <= maxLeafBytes,
    `the audit leaf of ${leaf.action} is ${bytes.length} bytes long, more than ${maxLeafBytes}`,
  );
  return bytes;
}

/** The leaf of a draft. Pure: the same input gives the same bytes. */
export function leafOf(draft: AuditDraft, stamp: { id: string; tenantId: string; atMs: number }): AuditLeaf {
  const { tenantId: _, entryId: __, ...said } = draft;
  const leaf = { v: 1 as const, id: stamp.id, tenant: stamp.tenantId, at: toInstant(stamp.atMs), ...said };
  if (!leafSchema.Check(leaf)) {
    const [first] = leafSchema.Errors(leaf);
    invariant(false, `the audit leaf of ${draft.action} is malformed at ${first?.instancePath ?? '/'}`);
  }
  return leaf;
}

/** Creates the one writer of the audit log. */
export function createAuditWriter(deps: AuditWriterDeps): AuditWriter {
  const recordMany = async (tx: AnyTx, drafts: readonly AuditDraft[]): Promise<AuditReceipt[]> => {
    if (drafts.length === 0) return [];
    const scope = deps.db.tenantOf(tx);
    const leaves = drafts.map((draft) => {
      const tenantId = draft.tenantId ?? scope;
      invariant(tenantId !== null, 'an audit entry of a system transaction names its tenant');
      return leafOf(draft, { id: draft.entryId ?? deps.newId(), tenantId, atMs: deps.clock.now() });
    });
    const receipts = leaves.map((leaf) => ({ id: leaf.id, tenantId: leaf.tenant, leaf: serialise(leaf) }));
    await insert(tx, leaves, receipts);
    deps.db.afterCommit(tx, deps.onCommitted);
    return receipts;
  };
  return {
    recordMany,
    record: async (tx, draft) => {
      const [receipt] = await recordMany(tx, [draft]);
      invariant(receipt !== undefined, 'an audit entry was not written');
      return receipt;
    },
  };
}

/** One statement and few parameters whatever the number of entries; the leaves travel as one block of bytes. */
async function insert(
  tx: AnyTx,
  leaves: readonly AuditLeaf[],
  receipts: readonly AuditReceipt[],
): Promise<void> {
  const lengths = receipts.map(({ leaf }) => leaf.length);
  let next = 1;
  const offsets = lengths.map((length) => {
    const offset = next;
    next += length;
    return offset;
  });
  const column = <K extends keyof AuditLeaf>(key: K) => leaves.map((leaf) => leaf[key]);
  await sql`
    /* prepared audit.record */
    with drafts as materialized (
      select d.*, substring(${Buffer.concat(receipts.map(({ leaf }) => leaf))}::bytea from d.begins for d.length) as leaf
      from unnest(
        ${column('tenant')}::uuid[], ${column('id')}::uuid[], ${offsets}::int[], ${lengths}::int[], ${column('at')}::timestamptz[],
        ${column('action')}::text[], ${column('actorKind')}::text[], ${column('actorId')}::uuid[],
        ${column('subjectType')}::text[], ${column('subjectId')}::uuid[], ${column('outcome')}::text[]
      ) as d (tenant_id, entry_id, begins, length, at, action, actor_kind, actor_id, subject_type, subject_id, outcome)
    ), entries as (
      insert into audit_entries (tenant_id, entry_id, leaf, at, action, actor_kind, actor_id, subject_type, subject_id, outcome)
      select tenant_id, entry_id, leaf, at, action, actor_kind, actor_id, subject_type, subject_id, outcome from drafts
    )
    insert into audit_pending (tenant_id, entry_id) select tenant_id, entry_id from drafts
  `.execute(tx);
}
