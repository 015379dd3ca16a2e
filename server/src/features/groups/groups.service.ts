import type { AuditAction } from '#contract/audit.ts';
import { guestsByHypervisor, takenDownWith } from '#contract/group-rules.ts';
import type { Group, GroupBody, HostRelations } from '#contract/groups.ts';
import { isUniqueViolation, type TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import * as dependencies from './dependencies.repository.ts';
import type { GroupsDeps } from './groups.deps.ts';
import { judgeGroup, withHypervisors } from './groups.policy.ts';
import * as repository from './groups.repository.ts';

const nameTaken = (): AppError =>
  new AppError('already_exists', {
    fields: [{ path: '/body/name', rule: 'unique', message: 'a group has this name already' }],
  });

/** Knows the redundancy sets. */
export class GroupsService {
  readonly #deps: GroupsDeps;

  constructor(deps: GroupsDeps) {
    this.#deps = deps;
  }

  /** Newest first. */
  list(tenantId: string, page: IdPage) {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listGroups(tx, page);
      const total = await repository.countGroups(tx);
      return pageOf(rows, page.limit, { item: (group) => group, keys: byId, total });
    });
  }

  get(tenantId: string, groupId: string): Promise<Group> {
    return this.#deps.db.inTenant(tenantId, async (tx) => found(await repository.getGroup(tx, groupId)));
  }

  /** Groups and dependencies of one host. Errors: not_found. */
  relationsOf(tenantId: string, hostId: string): Promise<HostRelations> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      found((await repository.hostnamesOf(tx, [hostId])).get(hostId));
      return {
        carriesAtlas: (await repository.listAtlasHosts(tx)).includes(hostId),
        groups: await repository.listGroupsOf(tx, [hostId]),
        dependencies: await dependencies.listDependenciesOf(tx, hostId),
      };
    });
  }

  /** Everything that an order of maintenance has to respect. */
  async graph(tx: TenantTx) {
    const groups = await repository.listPlainGroups(tx);
    const arrows = await dependencies.listArrows(tx);
    const named = [
      ...groups.flatMap(({ hostIds }) => hostIds),
      ...arrows.flatMap(({ dependentId, providerId }) => [dependentId, providerId]),
    ];
    return {
      groups,
      dependencies: arrows,
      hostnames: await repository.hostnamesOf(tx, [...new Set(named)]),
      atlasHostIds: await repository.listAtlasHosts(tx),
    };
  }

  /**
   * The groups that feel it when a host goes down, and every host that matters to them, held still until the transaction ends:
   * two members that want to begin at the same moment do so one after the other. Null when there is none.
   */
  async lockAround(tx: TenantTx, hostId: string) {
    if ((await repository.countGroups(tx)) === 0) return null;
    const arrows = await dependencies.listArrows(tx);
    const guests = guestsByHypervisor(arrows);
    const felt = [...takenDownWith(hostId, guests)];
    const concerned = await repository.listPlainGroups(tx, felt);
    if (concerned.length === 0) return null;
    await repository.lockGroups(
      tx,
      concerned.map(({ id }) => id),
    );
    // Read again: somebody may have changed them while we waited.
    const groups = await repository.listPlainGroups(tx, felt);
    const hostIds = withHypervisors(
      groups.flatMap((group) => group.hostIds),
      arrows,
    );
    return { groups, guests, hostIds };
  }

  /** Errors: already_exists when the name is taken, invalid_request on hosts and budget. */
  create(actor: TenantActor, body: GroupBody): Promise<Group> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      await this.#check(tx, body);
      const id = this.#deps.newId();
      if (!(await repository.createGroup(tx, id, body))) throw nameTaken();
      return this.#record(tx, actor, { action: 'group.created', groupId: id });
    });
  }

  /** Errors: not_found, precondition_failed, already_exists, invalid_request. */
  async update(
    actor: TenantActor,
    target: { readonly id: string; readonly version: number },
    body: GroupBody,
  ): Promise<Group> {
    const changed = this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      found(await repository.getGroup(tx, target.id));
      await this.#check(tx, body);
      if (await repository.isNameTaken(tx, body.name, target.id)) throw nameTaken();
      if (!(await repository.updateGroup(tx, target, body))) throw new AppError('precondition_failed');
      return this.#record(tx, actor, { action: 'group.updated', groupId: target.id });
    });
    return changed.catch((error: unknown) => {
      // Two people gave two groups the same name at the same moment.
      throw isUniqueViolation(error, 'groups_name') ? nameTaken() : error;
    });
  }

  /** Errors: not_found, precondition_failed. */
  remove(actor: TenantActor, target: { readonly id: string; readonly version: number }): Promise<void> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      found(await repository.getGroup(tx, target.id));
      await this.#record(tx, actor, { action: 'group.removed', groupId: target.id });
      if (!(await repository.removeGroup(tx, target))) throw new AppError('precondition_failed');
    });
  }

  async #check(tx: TenantTx, body: GroupBody): Promise<void> {
    const fields = judgeGroup(body, await repository.hostnamesOf(tx, body.hostIds));
    if (fields.length > 0) throw new AppError('invalid_request', { fields });
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    change: { readonly action: AuditAction; readonly groupId: string },
  ): Promise<Group> {
    const group = found(await repository.getGroup(tx, change.groupId));
    await this.#deps.audit.record(tx, {
      action: change.action,
      ...actorOf(actor),
      subjectType: 'group',
      subjectId: group.id,
      outcome: 'ok',
      digest: null,
      details: {
        name: group.name,
        budget: group.budget,
        ordered: group.ordered,
        hosts: group.members.map(({ hostname }) => hostname),
      },
    });
    await this.#deps.emit(tx, { type: 'group.changed', subjectId: group.id, data: {} });
    return group;
  }
}
