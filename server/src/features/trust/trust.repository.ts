import { sql } from 'kysely';
import type { Envelope, EnvelopeSignature } from '#contract/dsse.ts';
import type { ApproverKeySummary } from '#contract/releases.ts';
import type { Static } from '#contract/schema.ts';
import type { ApproverKey, LockDocument, PolicyDocument } from '#contract/trust.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';
import type { CurrentLock } from './lock.policy.ts';
import type { SignedPolicy } from './trust.policy.ts';

/** Documents were checked against the contract before they were stored; their bytes are what counts. */
function parse<T>(payload: Buffer): T {
  return JSON.parse(payload.toString('utf8')) as T;
}

export async function currentPolicy(tx: TenantTx): Promise<(SignedPolicy & { epoch: number }) | null> {
  const row = await tx
    .selectFrom('policy_documents')
    .select(['epoch', 'payload', 'payload_sha256'])
    .orderBy('epoch', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (row === undefined) return null;
  const { epoch, payload, payload_sha256: sha256 } = row;
  return { epoch, payload, sha256, document: parse<PolicyDocument>(payload) };
}

/** Every policy envelope after `epoch`, oldest first. */
export async function policyChain(tx: TenantTx, afterEpoch = 0): Promise<Envelope[]> {
  const rows = await tx
    .selectFrom('policy_documents')
    .select('envelope')
    .where('epoch', '>', afterEpoch)
    .orderBy('epoch')
    .execute();
  return rows.map(({ envelope }) => envelope as unknown as Envelope);
}

/** The policy documents of each tenant after the epoch that it asks from, oldest first, in the order asked. */
export async function newerPolicies(
  tx: SystemTx,
  asked: readonly { readonly tenantId: string; readonly afterEpoch: number }[],
): Promise<Envelope[][]> {
  const { rows } = await sql<{ nth: number; envelope: Envelope }>`
    /* prepared trust.newerPolicies */
    select q.nth, p.envelope
    from unnest(
      ${asked.map(({ tenantId }) => tenantId)}::uuid[],
      ${asked.map(({ afterEpoch }) => afterEpoch)}::int[]
    ) with ordinality as q (tenant_id, epoch, nth)
    join policy_documents p on p.tenant_id = q.tenant_id and p.epoch > q.epoch
    order by q.nth, p.epoch
  `.execute(tx);
  const newer: Envelope[][] = asked.map(() => []);
  for (const { nth, envelope } of rows) newer[nth - 1]?.push(envelope);
  return newer;
}

export async function insertPolicy(
  tx: TenantTx,
  signed: SignedPolicy,
  by: { readonly envelope: Envelope; readonly publishedBy: string },
): Promise<void> {
  await tx
    .insertInto('policy_documents')
    .values({
      epoch: signed.document.epoch,
      payload: signed.payload,
      payload_sha256: signed.sha256,
      envelope: JSON.stringify(by.envelope),
      published_by: by.publishedBy,
    })
    .execute();
}

/** Keys that a new document no longer names never come back. */
export async function removeKeys(tx: TenantTx, keyIds: readonly string[]): Promise<void> {
  if (keyIds.length === 0) return;
  await tx
    .updateTable('approver_keys')
    .set({ removed_at: sql`now()` })
    .where('key_id', 'in', keyIds)
    .where('removed_at', 'is', null)
    .execute();
}

export interface EnrolledKey {
  readonly key: ApproverKey;
  readonly removed: boolean;
  /** The person is still an approver here. */
  readonly isApprover: boolean;
}

/** Classes that a key covers when the document first names it. */
const allClasses: ApproverKey['classes'] = ['R1', 'R2', 'R3'];

export async function listKeys(tx: TenantTx): Promise<EnrolledKey[]> {
  const rows = await tx
    .selectFrom('approver_keys as k')
    .leftJoin('people as p', 'p.id', 'k.person_id')
    .leftJoin('memberships as m', (join) =>
      join.onRef('m.person_id', '=', 'k.person_id').onRef('m.tenant_id', '=', 'k.tenant_id'),
    )
    .select([
      'k.key_id',
      'k.person_id',
      'p.name',
      'k.kind',
      'k.public_key',
      'k.custody',
      'k.created_at',
      'k.removed_at',
      'm.roles',
    ])
    .orderBy('k.created_at')
    .execute();
  return rows.map((row) => ({
    key: {
      keyId: row.key_id,
      personId: row.person_id,
      // Somebody who has left the tenant is no longer seen by it, and keys outlive memberships.
      personName: (row.name ?? row.person_id).slice(0, 120),
      kind: row.kind as ApproverKey['kind'],
      publicKey: row.public_key.toString('base64url'),
      classes: allClasses,
      custody: row.custody as ApproverKey['custody'],
      addedAt: toInstant(row.created_at),
    },
    removed: row.removed_at !== null,
    isApprover: row.roles?.includes('approver') ?? false,
  }));
}

export type KeySummary = Static<typeof ApproverKeySummary>;

export interface NewKey {
  readonly keyId: string;
  readonly personId: string;
  readonly kind: ApproverKey['kind'];
  readonly publicKey: Buffer;
  readonly custody: ApproverKey['custody'];
  readonly attestation: object;
}

/** Keeps a key. False when the identifier is taken. */
export async function insertKey(tx: TenantTx, key: NewKey): Promise<boolean> {
  const row = await tx
    .insertInto('approver_keys')
    .values({
      key_id: key.keyId,
      person_id: key.personId,
      kind: key.kind,
      public_key: key.publicKey,
      custody: key.custody,
      attestation: JSON.stringify(key.attestation),
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('key_id')
    .executeTakeFirst();
  return row !== undefined;
}

export async function storeChallenge(
  tx: TenantTx,
  open: { readonly personId: string; readonly challenge: string; readonly expiresAtMs: number },
): Promise<void> {
  const values = { challenge: open.challenge, expires_at: toInstant(open.expiresAtMs) };
  await tx
    .insertInto('approver_key_challenges')
    .values({ person_id: open.personId, ...values })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'person_id']).doUpdateSet(values))
    .execute();
}

/** Takes the open challenge of a person: it serves once. Null when there is none or it is too old. */
export async function takeChallenge(tx: TenantTx, personId: string, atMs: number): Promise<string | null> {
  const row = await tx
    .deleteFrom('approver_key_challenges')
    .where('person_id', '=', personId)
    .returning(['challenge', 'expires_at'])
    .executeTakeFirst();
  return row !== undefined && row.expires_at.getTime() > atMs ? row.challenge : null;
}

export async function countAgentsAt(
  tx: TenantTx,
  epoch: number,
): Promise<{ current: number; total: number }> {
  const row = await tx
    .selectFrom('agents')
    .select(({ fn }) => [
      fn.countAll<number>().as('total'),
      sql<number>`count(*) filter (where policy_epoch = ${epoch})`.as('current'),
    ])
    .where('revoked_at', 'is', null)
    .executeTakeFirstOrThrow();
  return { current: Number(row.current), total: Number(row.total) };
}

export async function currentLock(tx: TenantTx): Promise<CurrentLock | null> {
  const row = await tx
    .selectFrom('lock_documents')
    .select(['serial', 'payload', 'envelope'])
    .orderBy('serial', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    serial: row.serial,
    document: parse<LockDocument>(row.payload),
    envelope: row.envelope as unknown as Envelope,
  };
}

export async function insertLock(
  tx: TenantTx,
  lock: {
    readonly document: LockDocument;
    readonly payload: Buffer;
    readonly sha256: string;
    readonly envelope: Envelope;
  },
): Promise<void> {
  await tx
    .insertInto('lock_documents')
    .values({
      serial: lock.document.serial,
      state: lock.document.state,
      payload: lock.payload,
      payload_sha256: lock.sha256,
      envelope: JSON.stringify(lock.envelope),
    })
    .execute();
}

export interface Opening {
  readonly serial: number;
  readonly payload: Buffer;
  readonly signatures: EnvelopeSignature[];
  readonly signedBy: string[];
  readonly createdAt: Date;
}

export async function findOpening(tx: TenantTx): Promise<Opening | null> {
  const row = await tx
    .selectFrom('lock_openings')
    .select(['serial', 'payload', 'signatures', 'signed_by', 'created_at'])
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) return null;
  const { serial, payload, signed_by: signedBy, created_at: createdAt } = row;
  return {
    serial,
    payload,
    signedBy,
    createdAt,
    signatures: row.signatures as unknown as EnvelopeSignature[],
  };
}

export async function replaceOpening(
  tx: TenantTx,
  opening: Omit<Opening, 'createdAt'> | null,
): Promise<void> {
  await tx.deleteFrom('lock_openings').execute();
  if (opening === null) return;
  await tx
    .insertInto('lock_openings')
    .values({
      serial: opening.serial,
      payload: opening.payload,
      signatures: JSON.stringify(opening.signatures),
      signed_by: opening.signedBy,
    })
    .execute();
}

export async function personName(tx: TenantTx, personId: string): Promise<string | null> {
  const row = await tx.selectFrom('people').select('name').where('id', '=', personId).executeTakeFirst();
  return row?.name ?? null;
}
