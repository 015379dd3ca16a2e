import { sql } from 'kysely';
import type { SshAccess, SshAccessCreate, SshFault } from '#contract/reach.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';
import { fingerprintOf } from './sshKey.policy.ts';

/** An access as it is kept; its private key is elsewhere. */
export interface AccessRow {
  readonly id: string;
  readonly tenantId: string;
  readonly siteId: string;
  readonly hostId: string | null;
  readonly agentId: string | null;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly hostKeyType: SshAccess['hostKeyType'];
  readonly hostKey: string;
  readonly publicKeyFingerprint: string;
  readonly state: SshAccess['state'];
  readonly fault: SshFault | null;
  readonly faultDetail: string | null;
  readonly lastContactAt: Date | null;
  readonly createdAt: Date;
}

function accesses(tx: TenantTx | SystemTx) {
  return tx
    .selectFrom('ssh_accesses')
    .select([
      'id',
      'tenant_id as tenantId',
      'site_id as siteId',
      'host_id as hostId',
      'agent_id as agentId',
      'name',
      'address',
      'port',
      'username as user',
      'host_key_type as hostKeyType',
      'host_key as hostKey',
      'public_key_fingerprint as publicKeyFingerprint',
      'state',
      'fault',
      'fault_detail as faultDetail',
      'last_contact_at as lastContactAt',
      'created_at as createdAt',
    ])
    .$narrowType<{
      hostKeyType: AccessRow['hostKeyType'];
      state: AccessRow['state'];
      fault: SshFault | null;
    }>();
}

export function toAccess(row: AccessRow): SshAccess {
  const { tenantId: _tenant, agentId: _agent, hostKey, lastContactAt, createdAt, ...shown } = row;
  return {
    ...shown,
    hostKeyFingerprint: fingerprintOf(Buffer.from(hostKey, 'base64')),
    lastContactAt: lastContactAt === null ? null : toInstant(lastContactAt),
    createdAt: toInstant(createdAt),
  };
}

export async function getAccess(tx: TenantTx, id: string): Promise<AccessRow | null> {
  return (await accesses(tx).where('id', '=', id).executeTakeFirst()) ?? null;
}

/** Newest first; one row more than `limit` when there is another page. */
export function listAccesses(tx: TenantTx, page: IdPage, hostId: string | undefined): Promise<AccessRow[]> {
  let query = accesses(tx);
  if (page.before !== null) query = query.where('id', '<', page.before);
  if (hostId !== undefined) query = query.where('host_id', '=', hostId);
  return query
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
    .execute();
}

/** Accesses of every tenant in that state: those that are being started, or that SSH drives. */
export function listInState(tx: SystemTx, state: 'starting' | 'active'): Promise<AccessRow[]> {
  return accesses(tx).where('state', '=', state).orderBy('id').execute();
}

export async function insertAccess(
  tx: TenantTx,
  access: Omit<SshAccessCreate, 'privateKey'> & {
    readonly id: string;
    readonly publicKeyFingerprint: string;
    readonly createdBy: string;
  },
): Promise<void> {
  await tx
    .insertInto('ssh_accesses')
    .values({
      id: access.id,
      site_id: access.siteId,
      host_id: access.hostId ?? null,
      name: access.name,
      address: access.address,
      port: access.port,
      username: access.user,
      host_key_type: access.hostKey.type,
      host_key: access.hostKey.key,
      public_key_fingerprint: access.publicKeyFingerprint,
      created_by: access.createdBy,
    })
    .execute();
}

/** Moves an access on, from one of these states. False when it is in another one. */
export async function moveAccess(
  tx: TenantTx,
  id: string,
  move: { readonly from: AccessRow['state']; readonly to: AccessRow['state'] },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('ssh_accesses')
    .set({ id, state: move.to, fault: null, fault_detail: null })
    .where('id', '=', id)
    .where('state', '=', move.from)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

export async function tieToHost(
  tx: TenantTx,
  id: string,
  to: { hostId: string; agentId: string },
): Promise<void> {
  await tx
    .updateTable('ssh_accesses')
    .set({ id, host_id: to.hostId, agent_id: to.agentId })
    .where('id', '=', id)
    .execute();
}

export async function replaceFingerprint(tx: TenantTx, id: string, fingerprint: string): Promise<void> {
  await tx
    .updateTable('ssh_accesses')
    .set({ id, public_key_fingerprint: fingerprint })
    .where('id', '=', id)
    .execute();
}

/** Notes what the last contact came to. False when that says nothing new. */
export async function recordContact(
  tx: TenantTx,
  id: string,
  fault: { readonly code: SshFault; readonly detail: string } | null,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('ssh_accesses')
    .set(
      fault === null
        ? { fault: null, fault_detail: null, last_contact_at: sql`now()` }
        : { fault: fault.code, fault_detail: fault.detail === '' ? null : fault.detail },
    )
    .where('id', '=', id)
    .where((eb) =>
      // Good contacts come every few seconds while work is under way: one row a minute says as much.
      fault === null
        ? eb.or([
            eb('fault', 'is not', null),
            eb('last_contact_at', 'is', null),
            eb('last_contact_at', '<', sql<Date>`now() - interval '60 seconds'`),
          ])
        : eb.or([eb('fault', 'is', null), eb('fault', '<>', fault.code)]),
    )
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

export async function removeAccess(tx: TenantTx, id: string): Promise<void> {
  await tx.deleteFrom('ssh_accesses').where('id', '=', id).execute();
}

/** True while a run has the host. */
export async function isClaimed(tx: TenantTx, hostId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('host_claims')
    .select('run_id')
    .where('host_id', '=', hostId)
    .executeTakeFirst();
  return row !== undefined;
}

/** The machine that a host was when it came in. */
export async function machineOf(tx: TenantTx, hostId: string): Promise<string | null> {
  const row = await tx.selectFrom('hosts').select('machine_id').where('id', '=', hostId).executeTakeFirst();
  return row?.machine_id ?? null;
}

export async function siteOf(tx: TenantTx, siteId: string): Promise<boolean> {
  return (
    (await tx.selectFrom('sites').select('id').where('id', '=', siteId).executeTakeFirst()) !== undefined
  );
}

/** Is this the server process that has been alive for longest? Each writes its row every few seconds. */
export async function isEldestNode(tx: SystemTx, nodeId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('nodes')
    .select('id')
    .where('seen_at', '>', sql<Date>`now() - interval '30 seconds'`)
    .orderBy('started_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();
  return row?.id === nodeId;
}
