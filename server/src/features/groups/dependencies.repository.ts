import { sql } from 'kysely';
import type { DependencyArrow } from '#contract/group-rules.ts';
import type { HostDependency, HostDependencyBody } from '#contract/groups.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

interface Versioned {
  readonly id: string;
  readonly version: number;
}

function selectDependencies(tx: TenantTx) {
  return tx
    .selectFrom('host_dependencies as d')
    .innerJoin('hosts as dependent', 'dependent.id', 'd.dependent_host_id')
    .innerJoin('hosts as provider', 'provider.id', 'd.provider_host_id')
    .select([
      'd.id as id',
      'd.dependent_host_id as dependentHostId',
      'dependent.hostname as dependentHostname',
      'd.provider_host_id as providerHostId',
      'provider.hostname as providerHostname',
      sql<HostDependency['kind']>`d.kind`.as('kind'),
      'd.created_at as createdAt',
      'd.updated_at as updatedAt',
      'd.version as version',
    ]);
}

type DependencyRow = Awaited<ReturnType<ReturnType<typeof selectDependencies>['executeTakeFirstOrThrow']>>;

function fromRow(row: DependencyRow): HostDependency {
  return { ...row, createdAt: toInstant(row.createdAt), updatedAt: toInstant(row.updatedAt) };
}

/** A page of dependencies, newest first, one row more than `limit` when there is another page. */
export async function listDependencies(tx: TenantTx, page: IdPage): Promise<HostDependency[]> {
  let query = selectDependencies(tx);
  if (page.before !== null) query = query.where('d.id', '<', page.before);
  const rows = await query
    .orderBy('d.id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(fromRow);
}

export async function countDependencies(tx: TenantTx): Promise<number> {
  const { count } = await tx
    .selectFrom('host_dependencies')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Those that a host has, from either end. */
export async function listDependenciesOf(tx: TenantTx, hostId: string): Promise<HostDependency[]> {
  const rows = await selectDependencies(tx)
    .where((eb) => eb.or([eb('d.dependent_host_id', '=', hostId), eb('d.provider_host_id', '=', hostId)]))
    .orderBy('d.id')
    .execute();
  return rows.map(fromRow);
}

/** The whole graph of the tenant. */
export function listArrows(tx: TenantTx): Promise<DependencyArrow[]> {
  return tx
    .selectFrom('host_dependencies')
    .select([
      'dependent_host_id as dependentId',
      'provider_host_id as providerId',
      sql<DependencyArrow['kind']>`kind`.as('kind'),
    ])
    .orderBy('id')
    .execute();
}

export async function getDependency(tx: TenantTx, dependencyId: string): Promise<HostDependency | null> {
  const row = await selectDependencies(tx).where('d.id', '=', dependencyId).executeTakeFirst();
  return row === undefined ? null : fromRow(row);
}

function values(body: HostDependencyBody) {
  return {
    dependent_host_id: body.dependentHostId,
    provider_host_id: body.providerHostId,
    kind: body.kind,
  };
}

/** False when the two hosts have a dependency already. */
export async function createDependency(tx: TenantTx, id: string, body: HostDependencyBody): Promise<boolean> {
  const row = await tx
    .insertInto('host_dependencies')
    .values({ id, ...values(body) })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

/** True when another row says something about the same two hosts, seen from the same one. */
export async function isArrowTaken(
  tx: TenantTx,
  body: HostDependencyBody,
  exceptId: string,
): Promise<boolean> {
  const row = await tx
    .selectFrom('host_dependencies')
    .select('id')
    .where('dependent_host_id', '=', body.dependentHostId)
    .where('provider_host_id', '=', body.providerHostId)
    .where('id', '!=', exceptId)
    .executeTakeFirst();
  return row !== undefined;
}

/** False when the row has another version than the one that was read. */
export async function updateDependency(
  tx: TenantTx,
  target: Versioned,
  body: HostDependencyBody,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('host_dependencies')
    .set(values(body))
    .where('id', '=', target.id)
    .where('version', '=', target.version)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** False when the row has another version than the one that was read. */
export async function removeDependency(tx: TenantTx, target: Versioned): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('host_dependencies')
    .where('id', '=', target.id)
    .where('version', '=', target.version)
    .executeTakeFirst();
  return numDeletedRows === 1n;
}
