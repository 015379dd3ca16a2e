import { sql } from 'kysely';
import type { AuditLeaf } from '#contract/audit.ts';
import type { Verb } from '#contract/verbs.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { readingLeaf, rootOfHashes, rootOver } from './commands.entries.ts';

/** Whether commands and signed results are still those that the audit log speaks of. */
interface Evidence {
  /** Entries that were compared. */
  readonly checked: number;
  /** The first sealed entry whose digest is not that of what is stored; null when there is none. */
  readonly firstBad: { readonly index: number; readonly entryId: string; readonly reason: string } | null;
}

interface SealedEntry {
  readonly entryId: string;
  readonly index: number;
  readonly leaf: Pick<AuditLeaf, 'digest' | 'subjectId' | 'details'>;
}

const entriesAPage = 500;

async function listPage(
  tx: TenantTx,
  action: 'command.dispatched' | 'command.result',
  after: string,
): Promise<SealedEntry[]> {
  const rows = await tx
    .selectFrom('audit_entries as e')
    .innerJoin('audit_leaves as l', (join) =>
      join.onRef('l.tenant_id', '=', 'e.tenant_id').onRef('l.entry_id', '=', 'e.entry_id'),
    )
    .select(['e.entry_id as entryId', 'l.leaf_index as index', 'e.leaf'])
    .where('e.action', '=', action)
    .where('e.entry_id', '>', after)
    .orderBy('e.entry_id')
    .limit(entriesAPage)
    .execute();
  return rows.map((row) => ({ ...row, leaf: leafOf(row.leaf) }));
}

/** An entry that is no JSON any more says nothing here: the log's own verification names it. */
function leafOf(bytes: Buffer): Pick<AuditLeaf, 'digest' | 'subjectId' | 'details'> {
  try {
    return JSON.parse(bytes.toString('utf8')) as AuditLeaf;
  } catch {
    return { digest: null, subjectId: null, details: {} };
  }
}

/** Digests of what is stored for readings that were asked for, by entry. */
async function readingDigests(tx: TenantTx, page: readonly SealedEntry[]): Promise<Map<string, string>> {
  const rows = await tx
    .selectFrom('commands')
    .select(['entry_id as entryId', 'id', 'agent_id as agentId', 'host_id as hostId', 'verb'])
    .where('entry_id', '>=', page[0]?.entryId ?? '')
    .where('entry_id', '<=', page.at(-1)?.entryId ?? '')
    .orderBy('id')
    .execute();
  const groups = Map.groupBy(rows, ({ entryId }) => entryId ?? '');
  const digestOf = (group: typeof rows): string =>
    rootOver(group.map((row) => readingLeaf({ ...row, verb: row.verb as Verb }))).toString('hex');
  return new Map([...groups].map(([entryId, group]) => [entryId, digestOf(group)]));
}

/** Digests of the signed frames that answer readings, by entry. PostgreSQL hashes the payloads. */
async function frameDigests(tx: TenantTx, page: readonly SealedEntry[]): Promise<Map<string, string>> {
  const { rows } = await sql<{ entryId: string; hash: Buffer }>`
    select entry_id as "entryId", sha256('\\x00'::bytea || payload) as hash
    from result_frames
    where entry_id between ${page[0]?.entryId} and ${page.at(-1)?.entryId}
    order by agent_id, last_seq`.execute(tx);
  const groups = Map.groupBy(rows, ({ entryId }) => entryId);
  return new Map(
    [...groups].map(([entryId, group]) => [
      entryId,
      rootOfHashes(group.map(({ hash }) => hash)).toString('hex'),
    ]),
  );
}

/** Digests of the frames in which results of orders stand, by entry. */
async function orderDigests(tx: TenantTx, page: readonly SealedEntry[]): Promise<Map<string, string>> {
  const { rows } = await sql<{ entryId: string; digest: string }>`
    select e.entry_id as "entryId", encode(sha256(f.payload), 'hex') as digest
    from unnest(${page.map(({ entryId }) => entryId)}::uuid[], ${page.map(({ leaf }) => leaf.subjectId)}::uuid[],
      ${page.map(({ leaf }) => Number(leaf.details.seq))}::bigint[]) as e (entry_id, command_id, seq)
    join command_results r on r.command_id = e.command_id and r.seq = e.seq
    join result_frames f on f.tenant_id = r.tenant_id and f.agent_id = r.agent_id and f.last_seq = r.frame_seq`.execute(
    tx,
  );
  return new Map(rows.map(({ entryId, digest }) => [entryId, digest]));
}

async function digestsOf(
  tx: TenantTx,
  action: 'command.dispatched' | 'command.result',
  page: readonly SealedEntry[],
): Promise<Map<string, string>> {
  const batches = page.filter(({ leaf }) => 'count' in leaf.details);
  const orders =
    action === 'command.dispatched' ? [] : page.filter(({ leaf }) => 'hostRunId' in leaf.details);
  const readings = action === 'command.dispatched' ? readingDigests : frameDigests;
  return new Map([
    ...(batches.length === 0 ? [] : await readings(tx, batches)),
    ...(orders.length === 0 ? [] : await orderDigests(tx, orders)),
  ]);
}

/** True for entries that say the digest of what is stored: an order's dispatch has none, nor had readings before batches. */
function isProof({ leaf }: SealedEntry): boolean {
  return leaf.digest !== null && ('count' in leaf.details || 'hostRunId' in leaf.details);
}

type Fault = NonNullable<Evidence['firstBad']>;

/** What is wrong with what one entry speaks of, or null. */
function faultOf(
  { entryId, index, leaf }: SealedEntry,
  stored: string | undefined,
  what: string,
): Fault | null {
  if (stored === leaf.digest) return null;
  const reason =
    stored === undefined ? `its ${what} are gone` : `its ${what} are not those that were recorded`;
  return { index, entryId, reason };
}

/**
 * Compares what is stored of commands and results with the sealed entries that speak of it. An altered, added or missing
 * row shows, also inside a batch. Short transactions, a page of entries each.
 */
export async function checkEvidence(db: Db, tenantId: string): Promise<Evidence> {
  let checked = 0;
  const faults: Fault[] = [];
  for (const action of ['command.dispatched', 'command.result'] as const) {
    const what = action === 'command.result' ? 'signed results' : 'commands';
    let after = '00000000-0000-0000-0000-000000000000';
    for (;;) {
      const { page, digests } = await db.inTenant(tenantId, async (tx) => {
        const entries = await listPage(tx, action, after);
        return { page: entries, digests: await digestsOf(tx, action, entries) };
      });
      const proofs = page.filter(isProof);
      checked += proofs.length;
      faults.push(...proofs.flatMap((entry) => faultOf(entry, digests.get(entry.entryId), what) ?? []));
      after = page.at(-1)?.entryId ?? after;
      if (page.length < entriesAPage) break;
    }
  }
  return { checked, firstBad: faults.sort((a, b) => a.index - b.index)[0] ?? null };
}
