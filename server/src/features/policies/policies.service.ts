import type { MaintenancePolicy, MaintenancePolicyBody } from '#contract/plans.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import * as repository from './policies.repository.ts';

export interface PoliciesDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
}

const nameTaken = (): AppError =>
  new AppError('already_exists', {
    fields: [{ path: '/body/name', rule: 'unique', message: 'a maintenance policy has this name already' }],
  });

export class PoliciesService {
  readonly #deps: PoliciesDeps;

  constructor(deps: PoliciesDeps) {
    this.#deps = deps;
  }

  /** Newest first. */
  async list(tenantId: string, page: IdPage) {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listPolicies(tx, page);
      const total = await repository.countPolicies(tx);
      return pageOf(rows, page.limit, { item: (policy) => policy, keys: byId, total });
    });
  }

  async get(tenantId: string, policyId: string): Promise<MaintenancePolicy> {
    return this.#deps.db.inTenant(tenantId, async (tx) => found(await repository.getPolicy(tx, policyId)));
  }

  /** For the planner, inside its own transaction. */
  policyOf(tx: TenantTx, policyId: string): Promise<MaintenancePolicy | null> {
    return repository.getPolicy(tx, policyId);
  }

  /** Errors: already_exists when the name is taken. */
  async create(actor: TenantActor, body: MaintenancePolicyBody): Promise<MaintenancePolicy> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const policy = await repository.createPolicy(tx, this.#deps.newId(), body);
      if (policy === null) throw nameTaken();
      await this.#record(tx, actor, { action: 'maintenance_policy.created', policy });
      return policy;
    });
  }

  /** Plans made before keep theirs. Errors: not_found, precondition_failed, already_exists. */
  async update(
    actor: TenantActor,
    target: { readonly id: string; readonly version: number },
    body: MaintenancePolicyBody,
  ): Promise<MaintenancePolicy> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      found(await repository.getPolicy(tx, target.id));
      if (await repository.isNameTaken(tx, body.name, target.id)) throw nameTaken();
      const policy = await repository.updatePolicy(tx, target, body);
      if (policy === null) throw new AppError('precondition_failed');
      await this.#record(tx, actor, { action: 'maintenance_policy.updated', policy });
      return policy;
    });
  }

  async remove(actor: TenantActor, policyId: string): Promise<void> {
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const policy = found(await repository.getPolicy(tx, policyId));
      await repository.removePolicy(tx, policyId, new Date(this.#deps.clock.now()));
      await this.#record(tx, actor, { action: 'maintenance_policy.removed', policy });
    });
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    change: {
      readonly action:
        'maintenance_policy.created' | 'maintenance_policy.updated' | 'maintenance_policy.removed';
      readonly policy: MaintenancePolicy;
    },
  ): Promise<void> {
    const { action, policy } = change;
    await this.#deps.audit.record(tx, {
      action,
      ...actorOf(actor),
      subjectType: 'maintenance_policy',
      subjectId: policy.id,
      outcome: 'ok',
      digest: null,
      details: { name: policy.name, version: policy.version },
    });
  }
}
