import { sql } from 'kysely';
import { maxDownOf } from '#contract/group-rules.ts';
import type { Group, GroupBody } from '#contract/groups.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

interface Versioned {
  readonly id: string;
  readonly version: number;
}

const columns = [
  'id',
  'name',
  'description',
  'budget_kind',
  'budget_hosts',
  'ordered',
  'created_at',
  'updated_at',
  'version',
] as const;

/** Members in their order, with what their agents are doing now. */
const members = sql<Group['members']>`(
  select coalesce(jsonb_agg(
    jsonb_build_object('hostId', h.id, 'hostname', h.hostname, 'agentState', h.agent_state) order by m.position), '[]')
  from group_members m join host_overview h on h.id = m.host_id
  where m.group_id = groups.id)`;

function selectGroups(tx: TenantTx) {
  return tx
    .selectFrom('groups')
    .select([...columns, members.as('members')])
    .$narrowType<{ budget_kind: Group['budget']['kind'] }>();
}

type GroupRow = Awaited<ReturnType<ReturnType<typeof selectGroups>['executeTakeFirstOrThrow']>>;

function fromRow(row: GroupRow): Group {
  const budget = { kind: row.budget_kind, hosts: row.budget_hosts };
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    budget,
    maxDown: maxDownOf(budget, row.members.length),
    ordered: row.ordered,
    members: row.members,
    createdAt: toInstant(row.created_at),
    updatedAt: toInstant(row.updated_at),
    version: row.version,
  };
}

/** A page of groups, newest first, one row more than `limit` when there is another page. */
export async function listGroups(tx: TenantTx, page: IdPage): Promise<Group[]> {
  let query = selectGroups(tx);
  if (page.before !== null) query = query.where('id', '<', page.before);
  const rows = await query
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(fromRow);
}

export async function countGroups(tx: TenantTx): Promise<number> {
  const { count } = await tx
    .selectFrom('groups')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
}

export async function getGroup(tx: TenantTx, groupId: string): Promise<Group | null> {
  const row = await selectGroups(tx).where('id', '=', groupId).executeTakeFirst();
  return row === undefined ? null : fromRow(row);
}

/** A group without what only screens need. */
export interface PlainGroup {
  readonly id: string;
  readonly name: string;
  readonly hostIds: readonly string[];
  readonly budget: Group['budget'];
  readonly ordered: boolean;
}

/** Every group of the tenant, or those with one of these hosts among their members, by name. */
export async function listPlainGroups(tx: TenantTx, hostIds?: readonly string[]): Promise<PlainGroup[]> {
  const rows = await tx
    .selectFrom('groups')
    .innerJoin('group_members', 'group_members.group_id', 'groups.id')
    .select([
      'groups.id as id',
      'name',
      sql<Group['budget']['kind']>`budget_kind`.as('kind'),
      'budget_hosts as hosts',
      'ordered',
      sql<string[]>`array_agg(host_id::text order by position)`.as('hostIds'),
    ])
    .$if(hostIds !== undefined, (query) =>
      query.where(
        sql<boolean>`groups.id in (select group_id from group_members where host_id = any(${[...(hostIds ?? [])]}::uuid[]))`,
      ),
    )
    .groupBy('groups.id')
    .orderBy('name')
    .orderBy('id')
    .execute();
  return rows.map(({ kind, hosts, ...group }) => ({ ...group, budget: { kind, hosts } }));
}

/** Groups with one of these hosts among their members, by name. */
export async function listGroupsOf(tx: TenantTx, hostIds: readonly string[]): Promise<Group[]> {
  const rows = await selectGroups(tx)
    .where((eb) =>
      eb(
        'id',
        'in',
        eb
          .selectFrom('group_members')
          .select('group_id')
          .where(sql<boolean>`host_id = any(${[...hostIds]}::uuid[])`),
      ),
    )
    .orderBy('name')
    .orderBy('id')
    .execute();
  return rows.map(fromRow);
}

/** Lets nobody else start a member of these groups, or change them, until the transaction ends. */
export async function lockGroups(tx: TenantTx, groupIds: readonly string[]): Promise<void> {
  await tx
    .selectFrom('groups')
    .select('id')
    .where(sql<boolean>`id = any(${[...groupIds]}::uuid[])`)
    // One order for everybody, so that two of them never wait for each other.
    .orderBy('id')
    .forUpdate()
    .execute();
}

async function setMembers(tx: TenantTx, groupId: string, hostIds: readonly string[]): Promise<void> {
  await tx.deleteFrom('group_members').where('group_id', '=', groupId).execute();
  const rows = hostIds.map((hostId, position) => ({ group_id: groupId, host_id: hostId, position }));
  await tx.insertInto('group_members').values(rows).execute();
}

function values(body: GroupBody) {
  const { name, description, budget, ordered } = body;
  return { name, description, budget_kind: budget.kind, budget_hosts: budget.hosts, ordered };
}

/** False when the name is taken. */
export async function createGroup(tx: TenantTx, id: string, body: GroupBody): Promise<boolean> {
  const row = await tx
    .insertInto('groups')
    .values({ id, ...values(body) })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (row !== undefined) await setMembers(tx, id, body.hostIds);
  return row !== undefined;
}

/** False when the row has another version than the one that was read. */
export async function updateGroup(tx: TenantTx, target: Versioned, body: GroupBody): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('groups')
    .set(values(body))
    .where('id', '=', target.id)
    .where('version', '=', target.version)
    .executeTakeFirst();
  if (numUpdatedRows === 1n) await setMembers(tx, target.id, body.hostIds);
  return numUpdatedRows === 1n;
}

/** False when the row has another version than the one that was read. */
export async function removeGroup(tx: TenantTx, target: Versioned): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('groups')
    .where('id', '=', target.id)
    .where('version', '=', target.version)
    .executeTakeFirst();
  return numDeletedRows === 1n;
}

export async function isNameTaken(tx: TenantTx, name: string, exceptId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('groups')
    .select('id')
    // The database's own idea of lower case, as in the unique index.
    .where(sql<boolean>`lower(name) = lower(${name})`)
    .where('id', '!=', exceptId)
    .executeTakeFirst();
  return row !== undefined;
}

/** Names of those of the hosts that exist in this tenant. */
export async function hostnamesOf(tx: TenantTx, hostIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await tx
    .selectFrom('hosts')
    .select(['id', 'hostname'])
    .where(sql<boolean>`id = any(${[...hostIds]}::uuid[])`)
    .execute();
  return new Map(rows.map(({ id, hostname }) => [id, hostname]));
}

/** Hosts on which ATLAS itself runs. */
export async function listAtlasHosts(tx: TenantTx): Promise<string[]> {
  const rows = await tx.selectFrom('hosts').select('id').where('carries_atlas', '=', true).execute();
  return rows.map(({ id }) => id);
}
