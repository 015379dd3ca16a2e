import { sql } from 'kysely';
import type { Member, Role } from '#contract/access.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';

const columns = [
  'people.id',
  'people.name',
  'people.email',
  'people.last_seen_at',
  'memberships.roles',
  'memberships.created_at',
  'memberships.version',
] as const;

export interface MemberRow {
  id: string;
  name: string;
  email: string | null;
  last_seen_at: Date | null;
  roles: string[];
  created_at: Date;
  version: number;
}

export function toMember(row: MemberRow): Member {
  return {
    personId: row.id,
    name: row.name,
    email: row.email,
    roles: row.roles as Role[],
    lastSeenAt: row.last_seen_at === null ? null : toInstant(row.last_seen_at),
    createdAt: toInstant(row.created_at),
    version: row.version,
  };
}

function members(tx: TenantTx) {
  return tx
    .selectFrom('memberships')
    .innerJoin('people', 'people.id', 'memberships.person_id')
    .select(columns);
}

/** By name, after the given (name, id); one row more than `limit` when there is more. */
export async function listMembers(
  tx: TenantTx,
  page: { after: readonly string[] | null; limit: number },
): Promise<MemberRow[]> {
  let query = members(tx);
  if (page.after !== null) {
    const [name = '', id = ''] = page.after;
    query = query.where(sql<boolean>`(lower(people.name), people.id::text) > (${name}, ${id})`);
  }
  return query
    .orderBy(sql`lower(people.name)`)
    .orderBy('people.id')
    .limit(page.limit + 1)
    .execute();
}

export async function countMembers(tx: TenantTx): Promise<number> {
  const { count } = await tx
    .selectFrom('memberships')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

export async function getMember(tx: TenantTx, personId: string): Promise<Member | null> {
  const row = await members(tx).where('people.id', '=', personId).executeTakeFirst();
  return row === undefined ? null : toMember(row);
}

/** Throws a unique violation (memberships_pkey) when the person is a member already. */
export async function addMember(tx: TenantTx, personId: string, roles: readonly Role[]): Promise<void> {
  await tx
    .insertInto('memberships')
    .values({ person_id: personId, roles: [...roles] })
    .execute();
}

/** False when the version is not the current one. */
export async function setRoles(
  tx: TenantTx,
  member: { personId: string; version: number; roles: readonly Role[] },
): Promise<boolean> {
  const row = await tx
    .updateTable('memberships')
    .set({ roles: [...member.roles] })
    .where('person_id', '=', member.personId)
    .where('version', '=', member.version)
    .returning('version')
    .executeTakeFirst();
  return row !== undefined;
}

export async function removeMember(tx: TenantTx, personId: string): Promise<void> {
  await tx.deleteFrom('memberships').where('person_id', '=', personId).execute();
}

/** Administrators of the tenant, locked until the transaction ends so that two of them cannot remove each other. */
export async function lockAdministrators(tx: TenantTx): Promise<string[]> {
  const rows = await tx
    .selectFrom('memberships')
    .select('person_id')
    .where(sql<boolean>`'tenant_admin' = any(roles)`)
    .orderBy('person_id')
    .forUpdate()
    .execute();
  return rows.map((row) => row.person_id);
}
