import type { EnvelopeSignature } from '#contract/dsse.ts';
import { invariant } from '../../platform/errors.ts';
import type { AnyTx, TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

export type ReleaseState = 'awaiting_signatures' | 'approved' | 'refused' | 'expired';

/** A release as it is stored, without its targets. */
export interface ReleaseRow {
  readonly id: string;
  readonly tenantId: string;
  readonly planId: string;
  readonly planTitle: string;
  readonly runId: string;
  readonly class: 'R1' | 'R2' | 'R3';
  readonly policyEpoch: number;
  readonly state: ReleaseState;
  readonly requesterId: string;
  readonly reason: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly payload: Buffer;
  readonly payloadSha256: string;
  readonly targetsCount: number;
  readonly signaturesNeeded: number;
  readonly approvedEntryId: string | null;
  readonly refusedBy: string | null;
  readonly refusedAt: Date | null;
  readonly refusalReason: string | null;
  readonly createdAt: Date;
  readonly version: number;
}

export interface SignatureRow {
  readonly personId: string;
  readonly personName: string;
  readonly keyId: string;
  readonly custody: 'hardware' | 'platform' | 'software';
  readonly signature: EnvelopeSignature;
  readonly createdAt: Date;
}

export interface TargetRow {
  readonly hostId: string;
  readonly agentId: string;
  readonly document: Buffer;
}

function selectReleases(tx: AnyTx) {
  return tx
    .selectFrom('releases as r')
    .innerJoin('plans as p', 'p.id', 'r.plan_id')
    .select([
      'r.id as id',
      'r.tenant_id as tenantId',
      'r.plan_id as planId',
      'p.title as planTitle',
      'r.run_id as runId',
      'r.class as class',
      'r.policy_epoch as policyEpoch',
      'r.state as state',
      'r.requester_id as requesterId',
      'r.reason as reason',
      'r.not_before as notBefore',
      'r.not_after as notAfter',
      'r.payload as payload',
      'r.payload_sha256 as payloadSha256',
      'r.targets_count as targetsCount',
      'r.signatures_needed as signaturesNeeded',
      'r.approved_entry_id as approvedEntryId',
      'r.refused_by as refusedBy',
      'r.refused_at as refusedAt',
      'r.refusal_reason as refusalReason',
      'r.created_at as createdAt',
      'r.version as version',
    ]);
}

export async function getRelease(tx: TenantTx, releaseId: string): Promise<ReleaseRow | null> {
  const row = await selectReleases(tx).where('r.id', '=', releaseId).executeTakeFirst();
  return (row as ReleaseRow | undefined) ?? null;
}

/** Newest first; one row more than `limit` when there is another page. */
export async function listReleases(
  tx: TenantTx,
  page: IdPage & {
    readonly state: ReleaseState | null;
    readonly now: Date;
  },
): Promise<ReleaseRow[]> {
  let query = selectReleases(tx);
  if (page.before !== null) query = query.where('r.id', '<', page.before);
  if (page.state === 'expired') {
    query = query.where((eb) =>
      eb.or([
        eb('r.state', '=', 'expired'),
        eb.and([eb('r.state', '=', 'awaiting_signatures'), eb('r.not_after', '<=', page.now)]),
      ]),
    );
  } else if (page.state !== null) {
    query = query.where('r.state', '=', page.state);
    if (page.state === 'awaiting_signatures') query = query.where('r.not_after', '>', page.now);
  }
  return (await query
    .orderBy('r.id', 'desc')
    .limit(page.limit + 1)
    .execute()) as ReleaseRow[];
}

export async function listSignatures(
  tx: AnyTx,
  releaseIds: readonly string[],
): Promise<Map<string, SignatureRow[]>> {
  const byRelease = new Map<string, SignatureRow[]>(releaseIds.map((id) => [id, []]));
  if (releaseIds.length === 0) return byRelease;
  const rows = await tx
    .selectFrom('release_signatures as s')
    .leftJoin('people as p', 'p.id', 's.person_id')
    .select(['s.release_id', 's.person_id', 'p.name', 's.key_id', 's.custody', 's.signature', 's.created_at'])
    .where('s.release_id', 'in', [...releaseIds])
    .orderBy('s.created_at')
    .execute();
  for (const row of rows) {
    byRelease.get(row.release_id)?.push({
      personId: row.person_id,
      personName: row.name ?? '—',
      keyId: row.key_id,
      custody: row.custody as SignatureRow['custody'],
      signature: row.signature as unknown as EnvelopeSignature,
      createdAt: row.created_at,
    });
  }
  return byRelease;
}

export async function listTargets(tx: AnyTx, releaseId: string): Promise<TargetRow[]> {
  const rows = await tx
    .selectFrom('release_targets')
    .select(['host_id', 'agent_id', 'document'])
    .where('release_id', '=', releaseId)
    .orderBy('leaf_index')
    .execute();
  return rows.map((row) => ({ hostId: row.host_id, agentId: row.agent_id, document: row.document }));
}

export interface NewRelease {
  readonly id: string;
  readonly planId: string;
  readonly runId: string;
  readonly policyEpoch: number;
  readonly requesterId: string;
  readonly reason: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly payload: Buffer;
  readonly payloadSha256: string;
  readonly signaturesNeeded: number;
  readonly targets: readonly TargetRow[];
}

/** False when the plan already has a release that is open or approved. */
export async function createRelease(tx: TenantTx, release: NewRelease): Promise<boolean> {
  const made = await tx
    .insertInto('releases')
    .values({
      id: release.id,
      plan_id: release.planId,
      run_id: release.runId,
      class: 'R2',
      policy_epoch: release.policyEpoch,
      state: 'awaiting_signatures',
      requester_id: release.requesterId,
      reason: release.reason,
      not_before: release.notBefore,
      not_after: release.notAfter,
      payload: release.payload,
      payload_sha256: release.payloadSha256,
      targets_count: release.targets.length,
      signatures_needed: release.signaturesNeeded,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (made.numInsertedOrUpdatedRows !== 1n) return false;
  for (let from = 0; from < release.targets.length; from += 500) {
    const part = release.targets.slice(from, from + 500);
    await tx
      .insertInto('release_targets')
      .values(
        part.map((target, index) => ({
          release_id: release.id,
          leaf_index: from + index,
          host_id: target.hostId,
          agent_id: target.agentId,
          document: target.document,
        })),
      )
      .execute();
  }
  return true;
}

/** False when this person has signed already. */
export async function addSignature(
  tx: TenantTx,
  releaseId: string,
  signature: {
    readonly personId: string;
    readonly keyId: string;
    readonly custody: string;
    readonly signature: EnvelopeSignature;
  },
): Promise<boolean> {
  const done = await tx
    .insertInto('release_signatures')
    .values({
      release_id: releaseId,
      person_id: signature.personId,
      key_id: signature.keyId,
      custody: signature.custody,
      signature: JSON.stringify(signature.signature),
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return done.numInsertedOrUpdatedRows === 1n;
}

/** Keeps two signatures that arrive together from both believing to be the first. */
export async function lockRelease(
  tx: TenantTx,
  releaseId: string,
): Promise<{ readonly state: ReleaseState; readonly version: number } | null> {
  const row = await tx
    .selectFrom('releases')
    .select(['state', 'version'])
    .where('id', '=', releaseId)
    .forUpdate()
    .executeTakeFirst();
  return row === undefined ? null : { state: row.state as ReleaseState, version: row.version };
}

/** Guarded transition out of `awaiting_signatures`; the caller holds the row's lock. */
export async function closeRelease(
  tx: TenantTx,
  releaseId: string,
  change:
    | { readonly state: 'approved'; readonly entryId: string; readonly at: Date }
    | { readonly state: 'refused'; readonly personId: string; readonly reason: string; readonly at: Date }
    | { readonly state: 'expired' },
): Promise<void> {
  const values =
    change.state === 'approved'
      ? { state: change.state, approved_entry_id: change.entryId, approved_at: change.at }
      : change.state === 'refused'
        ? {
            state: change.state,
            refused_by: change.personId,
            refused_at: change.at,
            refusal_reason: change.reason,
          }
        : { state: change.state };
  const done = await tx
    .updateTable('releases')
    .set(values)
    .where('id', '=', releaseId)
    .where('state', '=', 'awaiting_signatures')
    .executeTakeFirst();
  invariant(done.numUpdatedRows === 1n, 'a release left awaiting_signatures while its row was locked');
}

/** Names of people and machine keys by id; an id that is gone is absent. */
export async function namesOf(tx: TenantTx, ids: readonly string[]): Promise<Map<string, string>> {
  const wanted = [...new Set(ids)];
  if (wanted.length === 0) return new Map();
  const people = await tx.selectFrom('people').select(['id', 'name']).where('id', 'in', wanted).execute();
  const keys = await tx.selectFrom('api_keys').select(['id', 'name']).where('id', 'in', wanted).execute();
  return new Map([...people, ...keys].map((row) => [row.id, row.name]));
}

/** Open requests of a plan that were drafted under another policy document. */
export async function listStale(
  tx: TenantTx,
  planId: string,
  policyEpoch: number,
): Promise<{ readonly id: string; readonly payloadSha256: string }[]> {
  return tx
    .selectFrom('releases')
    .select(['id', 'payload_sha256 as payloadSha256'])
    .where('plan_id', '=', planId)
    .where('state', '=', 'awaiting_signatures')
    .where('policy_epoch', '!=', policyEpoch)
    .execute();
}
