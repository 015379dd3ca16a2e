import type { AuditAction } from '#contract/audit.ts';
import type { HostDependency, HostDependencyBody } from '#contract/groups.ts';
import { isUniqueViolation, type TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import * as repository from './dependencies.repository.ts';
import type { GroupsDeps } from './groups.deps.ts';
import { judgeDependency } from './groups.policy.ts';
import { hostnamesOf } from './groups.repository.ts';

const arrowTaken = (): AppError =>
  new AppError('already_exists', {
    fields: [
      { path: '/body/providerHostId', rule: 'unique', message: 'these two hosts have a dependency already' },
    ],
  });

/** Knows what hosts have to do with each other. */
export class DependenciesService {
  readonly #deps: GroupsDeps;

  constructor(deps: GroupsDeps) {
    this.#deps = deps;
  }

  /** Newest first. */
  list(tenantId: string, page: IdPage) {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listDependencies(tx, page);
      const total = await repository.countDependencies(tx);
      return pageOf(rows, page.limit, { item: (dependency) => dependency, keys: byId, total });
    });
  }

  get(tenantId: string, dependencyId: string): Promise<HostDependency> {
    return this.#deps.db.inTenant(tenantId, async (tx) =>
      found(await repository.getDependency(tx, dependencyId)),
    );
  }

  /** Errors: already_exists, invalid_request on the hosts. */
  create(actor: TenantActor, body: HostDependencyBody): Promise<HostDependency> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      await this.#check(tx, body);
      const id = this.#deps.newId();
      if (!(await repository.createDependency(tx, id, body))) throw arrowTaken();
      return this.#record(tx, actor, { action: 'host_dependency.created', dependencyId: id });
    });
  }

  /** Errors: not_found, precondition_failed, already_exists, invalid_request. */
  async update(
    actor: TenantActor,
    target: { readonly id: string; readonly version: number },
    body: HostDependencyBody,
  ): Promise<HostDependency> {
    const changed = this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      found(await repository.getDependency(tx, target.id));
      await this.#check(tx, body);
      if (await repository.isArrowTaken(tx, body, target.id)) throw arrowTaken();
      if (!(await repository.updateDependency(tx, target, body))) throw new AppError('precondition_failed');
      return this.#record(tx, actor, { action: 'host_dependency.updated', dependencyId: target.id });
    });
    return changed.catch((error: unknown) => {
      // Two people said the same of the same two hosts at the same moment.
      throw isUniqueViolation(error, 'host_dependencies_arrow') ? arrowTaken() : error;
    });
  }

  /** Errors: not_found, precondition_failed. */
  remove(actor: TenantActor, target: { readonly id: string; readonly version: number }): Promise<void> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      found(await repository.getDependency(tx, target.id));
      await this.#record(tx, actor, { action: 'host_dependency.removed', dependencyId: target.id });
      if (!(await repository.removeDependency(tx, target))) throw new AppError('precondition_failed');
    });
  }

  async #check(tx: TenantTx, body: HostDependencyBody): Promise<void> {
    const known = await hostnamesOf(tx, [body.dependentHostId, body.providerHostId]);
    const fields = judgeDependency(body, known);
    if (fields.length > 0) throw new AppError('invalid_request', { fields });
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    change: { readonly action: AuditAction; readonly dependencyId: string },
  ): Promise<HostDependency> {
    const dependency = found(await repository.getDependency(tx, change.dependencyId));
    const { kind, dependentHostname, providerHostname } = dependency;
    await this.#deps.audit.record(tx, {
      action: change.action,
      ...actorOf(actor),
      subjectType: 'host_dependency',
      subjectId: dependency.id,
      outcome: 'ok',
      digest: null,
      details: { kind, dependent: dependentHostname, provider: providerHostname },
    });
    await this.#deps.emit(tx, { type: 'group.changed', subjectId: dependency.id, data: {} });
    return dependency;
  }
}
