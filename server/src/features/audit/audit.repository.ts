import { sql } from 'kysely';
import type { AuditAction, AuditLeaf } from '#contract/audit.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

/** Which entries to show. Every condition that is present must hold. */
export interface EntryFilter {
  readonly action?: AuditAction;
  readonly actorId?: string;
  readonly subjectId?: string;
  /** Instants: from included, to excluded. */
  readonly from?: string;
  readonly to?: string;
}

/** Entries as they were written, newest first, with their place when they have one. */
export async function listEntries(
  tx: TenantTx,
  filter: EntryFilter,
  page: IdPage,
): Promise<{ id: string; index: number | null; leaf: AuditLeaf }[]> {
  const { action, actorId, subjectId, from, to } = filter;
  const rows = await tx
    .selectFrom('audit_entries as e')
    .leftJoin('audit_leaves as l', (join) =>
      join.onRef('l.tenant_id', '=', 'e.tenant_id').onRef('l.entry_id', '=', 'e.entry_id'),
    )
    .select(['e.entry_id as id', 'l.leaf_index as index', 'e.leaf'])
    .$if(page.before !== null, (query) => query.where('e.entry_id', '<', page.before))
    .$if(action !== undefined, (query) => query.where('e.action', '=', action ?? ''))
    .$if(actorId !== undefined, (query) => query.where('e.actor_id', '=', actorId ?? null))
    .$if(subjectId !== undefined, (query) => query.where('e.subject_id', '=', subjectId ?? null))
    .$if(from !== undefined, (query) => query.where('e.at', '>=', sql<Date>`${from}::timestamptz`))
    .$if(to !== undefined, (query) => query.where('e.at', '<', sql<Date>`${to}::timestamptz`))
    .orderBy('e.entry_id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(({ leaf, ...row }) => ({ ...row, leaf: JSON.parse(leaf.toString('utf8')) as AuditLeaf }));
}

/** Cosignatures of the agents, with the names of their hosts. */
export function listWitnesses(tx: TenantTx): Promise<
  {
    agentId: string;
    hostname: string | null;
    treeSize: number;
    root: Buffer;
    signature: Buffer;
    agrees: boolean;
    at: Date;
  }[]
> {
  return tx
    .selectFrom('audit_witness as w')
    .leftJoin('agents as a', 'a.id', 'w.agent_id')
    .leftJoin('hosts as h', 'h.id', 'a.host_id')
    .select([
      'w.agent_id as agentId',
      'h.hostname',
      'w.tree_size as treeSize',
      'w.root',
      'w.signature',
      'w.agrees',
      'w.at',
    ])
    .orderBy('w.agrees')
    .orderBy('w.at', 'desc')
    .limit(1000)
    .execute();
}
