import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

/** Both tables have the same columns: a name, a site or none, and a body. */
export type WindowsTable = 'windows' | 'freezes';

/** What every stored rule has beside its body. */
export interface StoredRow {
  readonly id: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly version: number;
}

interface Row {
  readonly id: string;
  readonly body: unknown;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly version: number;
}

interface Body {
  readonly name: string;
  readonly siteId: string | null;
}

const columns = ['id', 'body', 'created_at', 'updated_at', 'version'] as const;
/** The two tables are one to the types. */
const named = (table: WindowsTable): 'windows' => table as 'windows';

function fromRow<B>(row: Row): B & StoredRow {
  return {
    ...(row.body as B),
    id: row.id,
    createdAt: toInstant(row.created_at),
    updatedAt: toInstant(row.updated_at),
    version: row.version,
  };
}

/** By id, newest first, one row more than `limit` when there is another page. */
export async function listRows<B>(
  tx: TenantTx,
  table: WindowsTable,
  page: IdPage,
): Promise<(B & StoredRow)[]> {
  let query = tx.selectFrom(named(table)).select(columns).where('removed_at', 'is', null);
  if (page.before !== null) query = query.where('id', '<', page.before);
  const rows = await query
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map((row) => fromRow<B>(row));
}

/** Everything in force, for calculations; a tenant has tens of them. */
export async function listAll<B>(tx: TenantTx, table: WindowsTable): Promise<(B & StoredRow)[]> {
  const rows = await tx
    .selectFrom(named(table))
    .select(columns)
    .where('removed_at', 'is', null)
    .orderBy('id')
    .execute();
  return rows.map((row) => fromRow<B>(row));
}

export async function countRows(tx: TenantTx, table: WindowsTable): Promise<number> {
  const row = await tx
    .selectFrom(named(table))
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .where('removed_at', 'is', null)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

export async function getRow<B>(
  tx: TenantTx,
  table: WindowsTable,
  id: string,
): Promise<(B & StoredRow) | null> {
  const row = await tx
    .selectFrom(named(table))
    .select(columns)
    .where('id', '=', id)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  return row === undefined ? null : fromRow<B>(row);
}

/** Null when the name is taken. */
export async function createRow<B extends Body>(
  tx: TenantTx,
  table: WindowsTable,
  draft: { readonly id: string; readonly body: B },
): Promise<(B & StoredRow) | null> {
  const { id, body } = draft;
  const row = await tx
    .insertInto(named(table))
    .values({ id, name: body.name, site_id: body.siteId, body: JSON.stringify(body) })
    .onConflict((conflict) => conflict.doNothing())
    .returning(columns)
    .executeTakeFirst();
  return row === undefined ? null : fromRow<B>(row);
}

export async function isNameTaken(
  tx: TenantTx,
  table: WindowsTable,
  other: { readonly id: string; readonly name: string },
): Promise<boolean> {
  const row = await tx
    .selectFrom(named(table))
    .select('id')
    .where((eb) => eb(eb.fn<string>('lower', ['name']), '=', other.name.toLowerCase()))
    .where('removed_at', 'is', null)
    .where('id', '!=', other.id)
    .executeTakeFirst();
  return row !== undefined;
}

/** Null when the row has another version than the one that was read. */
export async function updateRow<B extends Body>(
  tx: TenantTx,
  table: WindowsTable,
  change: { readonly id: string; readonly version: number; readonly body: B },
): Promise<(B & StoredRow) | null> {
  const { id, version, body } = change;
  const row = await tx
    .updateTable(named(table))
    .set({ name: body.name, site_id: body.siteId, body: JSON.stringify(body) })
    .where('id', '=', id)
    .where('version', '=', version)
    .where('removed_at', 'is', null)
    .returning(columns)
    .executeTakeFirst();
  return row === undefined ? null : fromRow<B>(row);
}

/** False when the row has another version than the one that was read. */
export async function removeRow(
  tx: TenantTx,
  table: WindowsTable,
  target: { readonly id: string; readonly version: number; readonly at: Date },
): Promise<boolean> {
  const done = await tx
    .updateTable(named(table))
    .set({ removed_at: target.at })
    .where('id', '=', target.id)
    .where('version', '=', target.version)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  return done.numUpdatedRows > 0n;
}

export async function siteExists(tx: TenantTx, siteId: string): Promise<boolean> {
  const row = await tx.selectFrom('sites').select('id').where('id', '=', siteId).executeTakeFirst();
  return row !== undefined;
}

/** Sites of these hosts, each once. */
export async function sitesOf(tx: TenantTx, hostIds: readonly string[]): Promise<string[]> {
  if (hostIds.length === 0) return [];
  const rows = await tx
    .selectFrom('hosts')
    .select('site_id')
    .distinct()
    .where('id', 'in', [...hostIds])
    .execute();
  return rows.map(({ site_id }) => site_id);
}
