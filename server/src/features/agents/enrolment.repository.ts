import { sql } from 'kysely';
import type { EnrolmentToken } from '#contract/fleet.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';
import { found } from '../../platform/errors.ts';
import type { IdPage } from '../../platform/page.ts';
import type { TokenFacts } from './agents.policy.ts';

export interface KnownToken extends TokenFacts {
  readonly tenantId: string;
  readonly siteId: string;
  readonly secretSha256: Buffer;
}

/** A token by its identifier, in any tenant: a host that enrols does not know its tenant. */
export async function findToken(tx: SystemTx, tokenId: string): Promise<KnownToken | null> {
  const row = await tx
    .selectFrom('enrolment_tokens')
    .select(['tenant_id', 'site_id', 'secret_sha256', 'expires_at', 'used_at', 'revoked_at'])
    .where('id', '=', tokenId)
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    tenantId: row.tenant_id,
    siteId: row.site_id,
    secretSha256: row.secret_sha256,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
    revokedAt: row.revoked_at,
  };
}

/** Uses a token up. False when somebody else did, or when it is no longer good. */
export async function consumeToken(tx: TenantTx, tokenId: string, atMs: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('enrolment_tokens')
    .set({ used_at: toInstant(atMs) })
    .where('id', '=', tokenId)
    .where('used_at', 'is', null)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', new Date(atMs))
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

export async function recordTokenHost(tx: TenantTx, tokenId: string, hostId: string): Promise<void> {
  await tx
    .updateTable('enrolment_tokens')
    .set({ used_by_host_id: hostId })
    .where('id', '=', tokenId)
    .execute();
}

export async function insertToken(
  tx: TenantTx,
  token: {
    readonly id: string;
    readonly siteId: string;
    readonly note: string | null;
    readonly secretSha256: Buffer;
    readonly createdBy: string;
    readonly createdAtMs: number;
    readonly expiresAtMs: number;
  },
): Promise<void> {
  // Another tenant's site does not exist here.
  found(await tx.selectFrom('sites').select('id').where('id', '=', token.siteId).executeTakeFirst());
  await tx
    .insertInto('enrolment_tokens')
    .values({
      id: token.id,
      site_id: token.siteId,
      note: token.note,
      secret_sha256: token.secretSha256,
      created_by: token.createdBy,
      created_at: toInstant(token.createdAtMs),
      expires_at: toInstant(token.expiresAtMs),
    })
    .execute();
}

/** Revokes a token. False when it was used or revoked before; throws not_found. */
export async function revokeToken(tx: TenantTx, tokenId: string): Promise<boolean> {
  found(await tx.selectFrom('enrolment_tokens').select('id').where('id', '=', tokenId).executeTakeFirst());
  const { numUpdatedRows } = await tx
    .updateTable('enrolment_tokens')
    .set({ revoked_at: sql`now()` })
    .where('id', '=', tokenId)
    .where('used_at', 'is', null)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

function tokens(tx: TenantTx) {
  return tx
    .selectFrom('enrolment_tokens as t')
    .innerJoin('sites as s', 's.id', 't.site_id')
    .select([
      't.id',
      't.site_id',
      's.name as site_name',
      't.note',
      't.created_by',
      't.created_at',
      't.expires_at',
      't.used_at',
      't.used_by_host_id',
      't.revoked_at',
    ]);
}

function view(
  row: Awaited<ReturnType<ReturnType<typeof tokens>['executeTakeFirstOrThrow']>>,
): EnrolmentToken {
  const instant = (at: Date | null): string | null => (at === null ? null : toInstant(at));
  return {
    id: row.id,
    siteId: row.site_id,
    siteName: row.site_name,
    note: row.note,
    createdBy: row.created_by,
    createdAt: toInstant(row.created_at),
    expiresAt: toInstant(row.expires_at),
    usedAt: instant(row.used_at),
    usedByHostId: row.used_by_host_id,
    revokedAt: instant(row.revoked_at),
  };
}

export async function getToken(tx: TenantTx, tokenId: string): Promise<EnrolmentToken> {
  return view(found(await tokens(tx).where('t.id', '=', tokenId).executeTakeFirst()));
}

/** Newest first. */
export async function listTokens(tx: TenantTx, page: IdPage): Promise<EnrolmentToken[]> {
  const { before } = page;
  const rows = await tokens(tx)
    .$if(before !== null, (query) => query.where('t.id', '<', before ?? ''))
    .orderBy('t.id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(view);
}
