import { sql } from 'kysely';
import type { Site, Tenant } from '#contract/tenants.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';

const tenantColumns = ['id', 'name', 'slug', 'colour', 'created_at', 'version'] as const;
const siteColumns = ['id', 'name', 'time_zone', 'created_at', 'version'] as const;

interface TenantRow {
  id: string;
  name: string;
  slug: string;
  colour: string;
  created_at: Date;
  version: number;
}

interface SiteRow {
  id: string;
  name: string;
  time_zone: string;
  created_at: Date;
  version: number;
}

function toTenant(row: TenantRow): Tenant {
  const { id, name, slug, version } = row;
  // The table's check constraint holds the same list as the contract.
  return {
    id,
    name,
    slug,
    colour: row.colour as Tenant['colour'],
    createdAt: toInstant(row.created_at),
    version,
  };
}

export function toSite(row: SiteRow): Site {
  const { id, name, version } = row;
  return { id, name, timeZone: row.time_zone, createdAt: toInstant(row.created_at), version };
}

/** Throws a unique violation when the slug is taken. */
export async function createTenant(
  tx: TenantTx,
  tenant: { id: string; name: string; slug: string; colour?: Tenant['colour'] | undefined },
): Promise<Tenant> {
  const { id, name, slug, colour } = tenant;
  const row = await tx
    .insertInto('tenants')
    .values({ id, name, slug, ...(colour === undefined ? {} : { colour }) })
    .returning(tenantColumns)
    .executeTakeFirstOrThrow();
  return toTenant(row);
}

export async function getTenant(tx: TenantTx): Promise<Tenant | null> {
  const row = await tx.selectFrom('tenants').select(tenantColumns).executeTakeFirst();
  return row === undefined ? null : toTenant(row);
}

/** Null when the version is not the current one. */
export async function updateTenant(
  tx: TenantTx,
  version: number,
  change: { name?: string | undefined; colour?: Tenant['colour'] | undefined },
): Promise<Tenant | null> {
  const row = await tx
    .updateTable('tenants')
    .set({
      name: sql`coalesce(${change.name ?? null}, name)`,
      colour: sql`coalesce(${change.colour ?? null}, colour)`,
    })
    .where('version', '=', version)
    .returning(tenantColumns)
    .executeTakeFirst();
  return row === undefined ? null : toTenant(row);
}

/** By name, after the given (name, id); one row more than `limit` when there is more. */
export async function listSites(
  tx: TenantTx,
  page: { after: readonly string[] | null; limit: number },
): Promise<SiteRow[]> {
  let query = tx.selectFrom('sites').select(siteColumns);
  if (page.after !== null) {
    const [name = '', id = ''] = page.after;
    query = query.where(sql<boolean>`(lower(name), id::text) > (${name}, ${id})`);
  }
  return query
    .orderBy(sql`lower(name)`)
    .orderBy('id')
    .limit(page.limit + 1)
    .execute();
}

export async function countSites(tx: TenantTx): Promise<number> {
  const { count } = await tx
    .selectFrom('sites')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

/** Throws a unique violation (sites_name) when the name is taken. */
export async function createSite(
  tx: TenantTx,
  site: { id: string; name: string; timeZone: string },
): Promise<Site> {
  const row = await tx
    .insertInto('sites')
    .values({ id: site.id, name: site.name, time_zone: site.timeZone })
    .returning(siteColumns)
    .executeTakeFirstOrThrow();
  return toSite(row);
}

/** Null when there is no such site, or its version is another. */
export async function updateSite(
  tx: TenantTx,
  site: { id: string; version: number; name?: string | undefined; timeZone?: string | undefined },
): Promise<Site | null> {
  const row = await tx
    .updateTable('sites')
    .set({
      name: sql`coalesce(${site.name ?? null}, name)`,
      time_zone: sql`coalesce(${site.timeZone ?? null}, time_zone)`,
    })
    .where('id', '=', site.id)
    .where('version', '=', site.version)
    .returning(siteColumns)
    .executeTakeFirst();
  return row === undefined ? null : toSite(row);
}

export async function siteExists(tx: TenantTx, siteId: string): Promise<boolean> {
  return (
    (await tx.selectFrom('sites').select('id').where('id', '=', siteId).executeTakeFirst()) !== undefined
  );
}

/** Makes the person who creates a tenant its first administrator. */
export async function addFirstAdministrator(tx: TenantTx, personId: string): Promise<void> {
  await tx
    .insertInto('memberships')
    .values({ person_id: personId, roles: ['tenant_admin'] })
    .execute();
}

/** The tenant's id, or null; across tenants, for the program's owner. */
export async function findBySlug(tx: SystemTx, slug: string): Promise<string | null> {
  const row = await tx.selectFrom('tenants').select('id').where('slug', '=', slug).executeTakeFirst();
  return row?.id ?? null;
}
