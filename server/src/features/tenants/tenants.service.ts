import type { Site, Tenant } from '#contract/tenants.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import { isUniqueViolation, type Db, type TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, membershipOf, type Caller } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import { decodeCursor, limitOf, pageOf, type PageQuery } from '../../platform/page.ts';
import * as repository from './tenants.repository.ts';

export interface TenantsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly newId: NewId;
  /** Forgets what is remembered of a caller, after memberships have changed. */
  readonly forgetCaller: (personId: string) => void;
  /** Gives a new site what every site has, in the same transaction. */
  readonly siteCreated: (tx: TenantTx, site: Site) => Promise<void>;
}

interface Page<T> {
  items: T[];
  nextCursor: string | null;
  total: number | null;
}

type Named<T> = { [K in keyof T]?: T[K] | undefined };

function knownTimeZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
  } catch (error) {
    const field = { path: '/body/timeZone', rule: 'timeZone', message: 'is not a zone of the IANA database' };
    throw new AppError('invalid_request', { fields: [field], cause: error });
  }
}

async function orTaken<T>(work: Promise<T>, constraint: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isUniqueViolation(error, constraint)) throw new AppError('already_exists', { cause: error });
    throw error;
  }
}

export class TenantsService {
  readonly #deps: TenantsDeps;

  constructor(deps: TenantsDeps) {
    this.#deps = deps;
  }

  /** The tenants of which the caller is a member, by name. */
  async list(caller: Caller, query: PageQuery): Promise<Page<Tenant>> {
    const limit = limitOf(query);
    const after = decodeCursor(query.cursor, ['text', 'id']);
    const key = (name: string, id: string): string => `${name.toLowerCase()}\u0000${id}`;
    const rest = caller.memberships
      .map((membership) => ({
        id: membership.tenantId,
        key: key(membership.tenantName, membership.tenantId),
        membership,
      }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .filter((entry) => after === null || entry.key > key(after[0] ?? '', after[1] ?? ''))
      .slice(0, limit + 1);
    const tenants = await Promise.all(rest.map(({ id }) => this.get(id)));
    return pageOf(tenants, limit, {
      item: (tenant) => tenant,
      keys: (tenant) => [tenant.name, tenant.id],
      total: caller.memberships.length,
    });
  }

  /** Creates the tenant inside its own scope; its creator is its first administrator. Errors: already_exists. */
  async create(
    caller: Caller,
    draft: Pick<Tenant, 'name' | 'slug'> & Named<Pick<Tenant, 'colour'>>,
  ): Promise<Tenant> {
    const id = this.#deps.newId();
    const tenant = await orTaken(
      this.#deps.db.inTenant(id, async (tx) => {
        const created = await repository.createTenant(tx, { id, ...draft });
        const entry = { ...actorOf(caller), outcome: 'ok' as const, digest: null };
        const details = { slug: created.slug, name: created.name };
        await this.#deps.audit.record(tx, {
          ...entry,
          action: 'tenant.created',
          subjectType: 'tenant',
          subjectId: id,
          details,
        });
        if (caller.kind === 'person') {
          await repository.addFirstAdministrator(tx, caller.id);
          await this.#deps.audit.record(tx, {
            ...entry,
            action: 'member.created',
            subjectType: 'person',
            subjectId: caller.id,
            details: { roles: ['tenant_admin'] },
          });
        }
        return created;
      }),
      'tenants_slug_key',
    );
    this.#deps.forgetCaller(caller.id);
    return tenant;
  }

  async get(tenantId: string): Promise<Tenant> {
    return found(await this.#deps.db.inTenant(tenantId, repository.getTenant));
  }

  /** Errors: precondition_failed when somebody else was faster. */
  async update(
    caller: Caller,
    tenantId: string,
    change: Named<Tenant> & { version: number },
  ): Promise<Tenant> {
    const tenant = await this.#deps.db.inTenant(tenantId, async (tx) => {
      const updated = await repository.updateTenant(tx, change.version, change);
      if (updated === null) throw new AppError('precondition_failed');
      await this.#deps.audit.record(tx, {
        ...actorOf(caller),
        action: 'tenant.updated',
        subjectType: 'tenant',
        subjectId: tenantId,
        outcome: 'ok',
        digest: null,
        details: { name: updated.name, colour: updated.colour },
      });
      return updated;
    });
    if (membershipOf(caller, tenantId) !== undefined) this.#deps.forgetCaller(caller.id);
    return tenant;
  }

  async listSites(tenantId: string, query: PageQuery): Promise<Page<Site>> {
    const limit = limitOf(query);
    const after = decodeCursor(query.cursor, ['text', 'id']);
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listSites(tx, { after, limit });
      const total = await repository.countSites(tx);
      return pageOf(rows, limit, {
        item: repository.toSite,
        keys: (row) => [row.name.toLowerCase(), row.id],
        total,
      });
    });
  }

  /** Errors: already_exists, invalid_request for a time zone that does not exist. */
  async createSite(caller: Caller, tenantId: string, draft: Pick<Site, 'name' | 'timeZone'>): Promise<Site> {
    knownTimeZone(draft.timeZone);
    return orTaken(
      this.#deps.db.inTenant(tenantId, async (tx) => {
        const site = await repository.createSite(tx, { id: this.#deps.newId(), ...draft });
        await this.#recordSite(tx, caller, 'site.created', site);
        await this.#deps.siteCreated(tx, site);
        return site;
      }),
      'sites_name',
    );
  }

  /** Errors: not_found, precondition_failed, already_exists, invalid_request. */
  async updateSite(
    caller: Caller,
    tenantId: string,
    change: { id: string; version: number; name?: string | undefined; timeZone?: string | undefined },
  ): Promise<Site> {
    if (change.timeZone !== undefined) knownTimeZone(change.timeZone);
    return orTaken(
      this.#deps.db.inTenant(tenantId, async (tx) => {
        const site = await repository.updateSite(tx, change);
        if (site === null) {
          throw new AppError(
            (await repository.siteExists(tx, change.id)) ? 'precondition_failed' : 'not_found',
          );
        }
        await this.#recordSite(tx, caller, 'site.updated', site);
        return site;
      }),
      'sites_name',
    );
  }

  async #recordSite(
    tx: Parameters<AuditWriter['record']>[0],
    caller: Caller,
    ...[action, site]: ['site.created' | 'site.updated', Site]
  ): Promise<void> {
    await this.#deps.audit.record(tx, {
      ...actorOf(caller),
      action,
      subjectType: 'site',
      subjectId: site.id,
      outcome: 'ok',
      digest: null,
      details: { name: site.name, timeZone: site.timeZone },
    });
  }
}
