import { randomBytes } from 'node:crypto';
import { peopleOnlyPermissions, type ApiKey, type ApiKeyCreate } from '#contract/access.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { actorOf, membershipOf, type Caller } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import { byId, idPage, pageOf, type PageQuery } from '../../platform/page.ts';
import * as repository from './apiKeys.repository.ts';
import { secretDigest } from './callers.ts';

export interface ApiKeysDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly forget: () => void;
}

const dayMs = 86_400_000;

export class ApiKeysService {
  readonly #deps: ApiKeysDeps;

  constructor(deps: ApiKeysDeps) {
    this.#deps = deps;
  }

  async list(
    tenantId: string,
    query: PageQuery,
  ): Promise<{ items: ApiKey[]; nextCursor: string | null; total: number | null }> {
    const page = idPage(query);
    const rows = await this.#deps.db.inTenant(tenantId, (tx) => repository.listApiKeys(tx, page));
    return pageOf(rows, page.limit, { item: repository.toApiKey, keys: byId });
  }

  /** The secret is in the answer and nowhere else. Errors: forbidden for a scope that the caller does not hold or a key may not. */
  async create(
    caller: Caller,
    tenantId: string,
    draft: ApiKeyCreate,
  ): Promise<{ apiKey: ApiKey; secret: string }> {
    const held = membershipOf(caller, tenantId)?.permissions ?? new Set();
    const refused = draft.scopes.filter((scope) => !held.has(scope) || peopleOnlyPermissions.includes(scope));
    if (caller.kind !== 'person' || refused.length > 0) {
      throw new AppError('forbidden', {
        detail: `a key cannot hold: ${refused.join(', ') || 'what another key grants'}`,
      });
    }
    const id = this.#deps.newId();
    const secret = randomBytes(32).toString('base64url');
    const apiKey = await this.#deps.db.inTenant(tenantId, async (tx) => {
      const created = await repository.createApiKey(tx, {
        id,
        name: draft.name,
        secretSha256: secretDigest(secret),
        scopes: draft.scopes,
        createdBy: caller.id,
        expiresAt: new Date(this.#deps.clock.now() + draft.expiresInDays * dayMs),
      });
      await this.#record(tx, caller, {
        action: 'api_key.created',
        id,
        details: { name: draft.name, scopes: draft.scopes },
      });
      return created;
    });
    return { apiKey, secret: `atlas_${id}_${secret}` };
  }

  /** Errors: not_found. */
  async revoke(caller: Caller, tenantId: string, id: string): Promise<void> {
    await this.#deps.db.inTenant(tenantId, async (tx) => {
      if (!(await repository.revokeApiKey(tx, id))) throw new AppError('not_found');
      await this.#record(tx, caller, { action: 'api_key.revoked', id, details: {} });
    });
    this.#deps.forget();
  }

  async #record(
    tx: TenantTx,
    caller: Caller,
    entry: { action: 'api_key.created' | 'api_key.revoked'; id: string; details: Record<string, unknown> },
  ): Promise<void> {
    await this.#deps.audit.record(tx, {
      ...actorOf(caller),
      action: entry.action,
      subjectType: 'api_key',
      subjectId: entry.id,
      outcome: 'ok',
      digest: null,
      details: entry.details,
    });
  }
}
