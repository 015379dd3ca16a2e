import { sql } from 'kysely';
import type { TenantTx } from '../db.ts';
import type { AuditWriter } from './auditWriter.ts';
import { logOrigin } from './checkpoint.ts';
import { verifyCosignature } from './cosignature.ts';
import { latestCheckpoint, tilesOf } from './logReader.ts';
import { rootOf } from './merkle.ts';
import { nodesFromTiles } from './tiles.ts';

/** What an agent says it has seen of its tenant's log, as its heartbeat carries it. */
export interface Cosignature {
  readonly agentId: string;
  /** SubjectPublicKeyInfo of the Ed25519 key that the agent enrolled. */
  readonly publicKeySpki: Buffer;
  readonly treeSize: number;
  /** Hexadecimal. */
  readonly rootSha256: string;
  /** Key id, time and signature, base64url. */
  readonly signature: string;
}

/** `disagrees`: the agent has signed another log than the one stored here; `invalid`: it is not the agent's signature. */
export type WitnessVerdict = 'agrees' | 'disagrees' | 'invalid';

/** Root of the stored log when it had `size` leaves, or undefined when it is shorter. */
async function rootAt(tx: TenantTx, tenantId: string, size: number): Promise<Buffer | undefined> {
  const stored = await tx
    .selectFrom('audit_checkpoints')
    .select('root')
    .where('tenant_id', '=', tenantId)
    .where('tree_size', '=', size)
    .executeTakeFirst();
  if (stored !== undefined) return stored.root;
  const latest = await latestCheckpoint(tx, tenantId);
  if (latest === undefined || size > latest.size) return undefined;
  return rootOf(nodesFromTiles(tilesOf(tx, tenantId), latest.size), size);
}

/**
 * Keeps an agent's cosignature. A valid one over another tree than ours means that the log was rewritten or shown
 * in two versions: it is kept as evidence, never replaced, and an alarm goes into the log.
 */
export async function recordCosignature(
  tx: TenantTx,
  deps: { readonly writer: AuditWriter; readonly tenantId: string },
  seen: Cosignature,
): Promise<WitnessVerdict> {
  const { tenantId } = deps;
  const root = Buffer.from(seen.rootSha256, 'hex');
  const signature = Buffer.from(seen.signature, 'base64url');
  const head = { origin: logOrigin(tenantId), size: seen.treeSize, root };
  const timestampS = verifyCosignature(head, signature, seen);
  if (timestampS === undefined) return 'invalid';
  const ours = await rootAt(tx, tenantId, seen.treeSize);
  const agrees = ours?.equals(root) ?? false;
  const changed = await sql`
    insert into audit_witness (tenant_id, agent_id, tree_size, root, signature, public_key, agrees, at)
    values (${tenantId}, ${seen.agentId}, ${seen.treeSize}, ${root}, ${signature}, ${seen.publicKeySpki}, ${agrees}, to_timestamp(${timestampS}))
    on conflict (tenant_id, agent_id) do update
    set tree_size = excluded.tree_size, root = excluded.root, signature = excluded.signature,
      public_key = excluded.public_key, agrees = excluded.agrees, at = excluded.at
    where audit_witness.agrees and (not excluded.agrees or excluded.tree_size > audit_witness.tree_size)`.execute(
    tx,
  );
  if (agrees) return 'agrees';
  if (Number(changed.numAffectedRows) > 0) await raiseAlarm(tx, deps.writer, { seen, ours });
  return 'disagrees';
}

async function raiseAlarm(
  tx: TenantTx,
  writer: AuditWriter,
  views: { readonly seen: Cosignature; readonly ours: Buffer | undefined },
): Promise<void> {
  await writer.record(tx, {
    action: 'agent.alarm',
    actorKind: 'agent',
    actorId: views.seen.agentId,
    subjectType: 'audit_log',
    subjectId: null,
    outcome: 'failed',
    digest: views.seen.rootSha256,
    details: {
      code: views.ours === undefined ? 'audit_log_shorter_than_witnessed' : 'audit_log_split_view',
      treeSize: views.seen.treeSize,
      ownRootSha256: views.ours?.toString('hex') ?? null,
    },
  });
}
