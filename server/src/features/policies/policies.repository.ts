import type { MaintenancePolicy, MaintenancePolicyBody } from '#contract/plans.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

interface PolicyRow {
  readonly id: string;
  readonly body: unknown;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly version: number;
}

function fromRow(row: PolicyRow): MaintenancePolicy {
  return {
    ...(row.body as MaintenancePolicyBody),
    id: row.id,
    createdAt: toInstant(row.created_at),
    updatedAt: toInstant(row.updated_at),
    version: row.version,
  };
}

const columns = ['id', 'body', 'created_at', 'updated_at', 'version'] as const;

/** A page of policies by id, newest first, one row more than `limit` when there is another page. */
export async function listPolicies(tx: TenantTx, page: IdPage): Promise<MaintenancePolicy[]> {
  let query = tx.selectFrom('maintenance_policies').select(columns).where('removed_at', 'is', null);
  if (page.before !== null) query = query.where('id', '<', page.before);
  const rows = await query
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(fromRow);
}

export async function countPolicies(tx: TenantTx): Promise<number> {
  const row = await tx
    .selectFrom('maintenance_policies')
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .where('removed_at', 'is', null)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

export async function getPolicy(tx: TenantTx, policyId: string): Promise<MaintenancePolicy | null> {
  const row = await tx
    .selectFrom('maintenance_policies')
    .select(columns)
    .where('id', '=', policyId)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  return row === undefined ? null : fromRow(row);
}

/** Null when the name is taken. */
export async function createPolicy(
  tx: TenantTx,
  id: string,
  body: MaintenancePolicyBody,
): Promise<MaintenancePolicy | null> {
  const row = await tx
    .insertInto('maintenance_policies')
    .values({ id, name: body.name, body: JSON.stringify(body) })
    .onConflict((conflict) => conflict.doNothing())
    .returning(columns)
    .executeTakeFirst();
  return row === undefined ? null : fromRow(row);
}

export async function isNameTaken(tx: TenantTx, name: string, exceptId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('maintenance_policies')
    .select('id')
    .where((eb) => eb(eb.fn<string>('lower', ['name']), '=', name.toLowerCase()))
    .where('removed_at', 'is', null)
    .where('id', '!=', exceptId)
    .executeTakeFirst();
  return row !== undefined;
}

/** Null when the row has another version than the one that was read. */
export async function updatePolicy(
  tx: TenantTx,
  target: { readonly id: string; readonly version: number },
  body: MaintenancePolicyBody,
): Promise<MaintenancePolicy | null> {
  const row = await tx
    .updateTable('maintenance_policies')
    .set({ name: body.name, body: JSON.stringify(body) })
    .where('id', '=', target.id)
    .where('version', '=', target.version)
    .where('removed_at', 'is', null)
    .returning(columns)
    .executeTakeFirst();
  return row === undefined ? null : fromRow(row);
}

export async function removePolicy(tx: TenantTx, policyId: string, at: Date): Promise<boolean> {
  const done = await tx
    .updateTable('maintenance_policies')
    .set({ removed_at: at })
    .where('id', '=', policyId)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  return done.numUpdatedRows > 0n;
}
