import { sql } from 'kysely';
import type { Inventory } from '#contract/inventory.ts';
import type { HealthCheck } from '#contract/verbs.ts';
import type { TenantTx } from '../../platform/db.ts';
import { countsOf } from './fleet.policy.ts';

/** The host of a machine, made when there is none; its site becomes the one of the token. */
export async function upsertHost(
  tx: TenantTx,
  host: {
    readonly id: string;
    readonly siteId: string;
    readonly hostname: string;
    readonly machineId: string;
    readonly healthChecks: readonly HealthCheck[];
  },
): Promise<string> {
  const { id } = await tx
    .insertInto('hosts')
    .values({
      id: host.id,
      site_id: host.siteId,
      hostname: host.hostname,
      machine_id: host.machineId,
      health_checks: JSON.stringify(host.healthChecks),
    })
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'machine_id', 'hostname']).doUpdateSet({ site_id: host.siteId }),
    )
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** Keeps an inventory unless a newer one is there. Returns whether it is kept and whether it is the host's first. */
export async function recordInventory(
  tx: TenantTx,
  hostId: string,
  inventory: Inventory,
): Promise<'first' | 'newer' | 'older'> {
  const { updates, security } = countsOf(inventory);
  const facts = {
    inventory: JSON.stringify(inventory),
    collected_at: inventory.collectedAt,
    os_name: inventory.os.name,
    guard_tier: inventory.guardTier,
    restart_required: inventory.restartRequired,
    pending_updates: updates,
    pending_security: security,
    failed_units: inventory.failedUnits.length,
    updates_error: inventory.updatesError,
  };
  const row = await tx
    .insertInto('host_facts')
    .values({ host_id: hostId, ...facts })
    .onConflict((conflict) =>
      conflict
        .column('host_id')
        .doUpdateSet({ ...facts, received_at: sql`now()` })
        .where('host_facts.collected_at', '<=', new Date(inventory.collectedAt)),
    )
    // PostgreSQL sets xmax on a row that it updates, not on one that it inserts.
    .returning(sql<boolean>`xmax = 0`.as('inserted'))
    .executeTakeFirst();
  if (row === undefined) return 'older';
  return row.inserted ? 'first' : 'newer';
}

/** Suggestions of the first inventory; never over what a person chose. */
export async function suggestChecks(
  tx: TenantTx,
  hostId: string,
  checks: readonly HealthCheck[],
): Promise<void> {
  await tx
    .updateTable('hosts')
    .set({ health_checks: JSON.stringify(checks) })
    .where('id', '=', hostId)
    .where('health_checks_chosen', '=', false)
    .execute();
}

/** Takes a host for a run, or gives it back. False when another run has it. */
export async function setActiveRun(tx: TenantTx, hostId: string, runId: string | null): Promise<boolean> {
  if (runId === null) {
    await tx.deleteFrom('host_claims').where('host_id', '=', hostId).execute();
    return true;
  }
  const row = await tx
    .insertInto('host_claims')
    .values({ host_id: hostId, run_id: runId })
    .onConflict((conflict) =>
      conflict.column('host_id').doUpdateSet({ run_id: runId }).where('host_claims.run_id', '=', runId),
    )
    .returning('host_id')
    .executeTakeFirst();
  return row !== undefined;
}

/** Changes what people may change. False when the version is no longer the one that was read. */
export async function updateHost(
  tx: TenantTx,
  host: { readonly id: string; readonly version: number },
  change: {
    readonly siteId?: string;
    readonly tags?: readonly string[];
    readonly healthChecks?: readonly HealthCheck[];
    readonly carriesAtlas?: boolean;
  },
): Promise<boolean> {
  const { siteId, tags, healthChecks, carriesAtlas } = change;
  const { numUpdatedRows } = await tx
    .updateTable('hosts')
    .set({
      id: host.id,
      ...(siteId === undefined ? {} : { site_id: siteId }),
      ...(tags === undefined ? {} : { tags: [...tags] }),
      ...(carriesAtlas === undefined ? {} : { carries_atlas: carriesAtlas }),
      ...(healthChecks === undefined
        ? {}
        : { health_checks: JSON.stringify(healthChecks), health_checks_chosen: true }),
    })
    .where('id', '=', host.id)
    .where('version', '=', host.version)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

export async function siteExists(tx: TenantTx, siteId: string): Promise<boolean> {
  return (
    (await tx.selectFrom('sites').select('id').where('id', '=', siteId).executeTakeFirst()) !== undefined
  );
}

/** The inventory of a host, or null before the first one. */
export async function getInventory(tx: TenantTx, hostId: string): Promise<Inventory | null> {
  const row = await tx
    .selectFrom('host_facts')
    .select('inventory')
    .where('host_id', '=', hostId)
    .executeTakeFirst();
  // Checked against the contract when it came in.
  return (row?.inventory as Inventory | undefined) ?? null;
}
