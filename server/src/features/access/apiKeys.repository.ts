import { sql } from 'kysely';
import type { ApiKey, Permission } from '#contract/access.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

const columns = [
  'id',
  'name',
  'scopes',
  'created_by',
  'created_at',
  'expires_at',
  'last_used_at',
  'revoked_at',
] as const;

export interface ApiKeyRow {
  id: string;
  name: string;
  scopes: string[];
  created_by: string;
  created_at: Date;
  expires_at: Date;
  last_used_at: Date | null;
  revoked_at: Date | null;
}

export function toApiKey(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    scopes: row.scopes as Permission[],
    createdBy: row.created_by,
    createdAt: toInstant(row.created_at),
    expiresAt: toInstant(row.expires_at),
    lastUsedAt: row.last_used_at === null ? null : toInstant(row.last_used_at),
    revokedAt: row.revoked_at === null ? null : toInstant(row.revoked_at),
  };
}

export async function createApiKey(
  tx: TenantTx,
  key: {
    id: string;
    name: string;
    secretSha256: Buffer;
    scopes: string[];
    createdBy: string;
    expiresAt: Date;
  },
): Promise<ApiKey> {
  const row = await tx
    .insertInto('api_keys')
    .values({
      id: key.id,
      name: key.name,
      secret_sha256: key.secretSha256,
      scopes: key.scopes,
      created_by: key.createdBy,
      expires_at: key.expiresAt,
    })
    .returning(columns)
    .executeTakeFirstOrThrow();
  return toApiKey(row);
}

/** Newest first, before the given id; one row more than `limit` when there is more. */
export async function listApiKeys(tx: TenantTx, page: IdPage): Promise<ApiKeyRow[]> {
  let query = tx.selectFrom('api_keys').select(columns);
  if (page.before !== null) query = query.where('id', '<', page.before);
  return query
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
    .execute();
}

/** False when there is no such key; revoking twice is no error. */
export async function revokeApiKey(tx: TenantTx, id: string): Promise<boolean> {
  const row = await tx
    .updateTable('api_keys')
    .set({ revoked_at: sql`coalesce(revoked_at, now())` })
    .where('id', '=', id)
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

export interface UsableKey {
  readonly id: string;
  readonly name: string;
  readonly secretSha256: Buffer;
  readonly scopes: readonly Permission[];
  readonly tenantId: string;
  readonly tenantName: string;
  readonly tenantColour: string;
}

/** The key when it is neither revoked nor expired. */
export async function findUsableKey(tx: SystemTx, id: string): Promise<UsableKey | null> {
  const row = await tx
    .selectFrom('api_keys')
    .innerJoin('tenants', 'tenants.id', 'api_keys.tenant_id')
    .select(['api_keys.id', 'api_keys.name', 'secret_sha256', 'scopes', 'tenant_id'])
    .select(['tenants.name as tenant_name', 'tenants.colour as tenant_colour'])
    .where('api_keys.id', '=', id)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    id: row.id,
    name: row.name,
    secretSha256: row.secret_sha256,
    scopes: row.scopes as Permission[],
    tenantId: row.tenant_id,
    tenantName: row.tenant_name,
    tenantColour: row.tenant_colour,
  };
}

/** Notes the use, at most once a minute: a busy key must not write at each request. */
export async function noteUse(tx: SystemTx, id: string): Promise<void> {
  await tx
    .updateTable('api_keys')
    .set({ last_used_at: sql`now()` })
    .where('id', '=', id)
    .where(sql<boolean>`last_used_at is null or last_used_at < now() - interval '1 minute'`)
    .execute();
}
