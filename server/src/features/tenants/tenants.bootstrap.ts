import type { Tenant } from '#contract/tenants.ts';
import type { TenantTx } from '../../platform/db.ts';
import * as repository from './tenants.repository.ts';
import type { TenantsDeps } from './tenants.service.ts';

export interface FirstTenant {
  readonly name: string;
  readonly slug: string;
  readonly colour?: Tenant['colour'] | undefined;
  readonly site: { readonly name: string; readonly timeZone: string };
}

/** Makes the tenant and its first site when they are absent; the program's owner does it, so the actor is the system. */
export async function bootstrapTenant(
  deps: Pick<TenantsDeps, 'db' | 'audit' | 'newId' | 'siteCreated'>,
  first: FirstTenant,
): Promise<{ tenantId: string; siteId: string; created: boolean }> {
  const { db, audit, newId } = deps;
  const present = await db.inSystem('tenants.findBySlug', (tx) => repository.findBySlug(tx, first.slug));
  const tenantId = present ?? newId();
  const record = (
    tx: TenantTx,
    entry: { action: 'tenant.created' | 'site.created'; id: string; name: string },
  ) =>
    audit.record(tx, {
      action: entry.action,
      actorKind: 'system',
      actorId: null,
      subjectType: entry.action === 'tenant.created' ? 'tenant' : 'site',
      subjectId: entry.id,
      outcome: 'ok',
      digest: null,
      details: { name: entry.name, by: 'bootstrap' },
    });
  const siteId = await db.inTenant(tenantId, async (tx) => {
    if (present === null) {
      const { name, slug, colour } = first;
      await repository.createTenant(tx, { id: tenantId, name, slug, colour });
      await record(tx, { action: 'tenant.created', id: tenantId, name });
    }
    const [site] = await repository.listSites(tx, { after: null, limit: 1 });
    if (site !== undefined) return site.id;
    const created = await repository.createSite(tx, { id: newId(), ...first.site });
    await record(tx, { action: 'site.created', id: created.id, name: created.name });
    await deps.siteCreated(tx, created);
    return created.id;
  });
  return { tenantId, siteId, created: present === null };
}
