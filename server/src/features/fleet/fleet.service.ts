import type { FleetSummary, HostDetail, HostSummary } from '#contract/fleet.ts';
import type { Inventory, PendingUpdate } from '#contract/inventory.ts';
import type { HealthCheck } from '#contract/verbs.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type Actor } from '../../platform/http/caller.ts';
import { decodeCursor, limitOf, pageOf, type PageQuery } from '../../platform/page.ts';
import type { FleetDeps } from './fleet.deps.ts';
import {
  countsOf,
  defaultHealthChecks,
  orderUpdates,
  suggestHealthChecks,
  updateKey,
} from './fleet.policy.ts';
import { countFleet, findHost, listCandidates, type HostCandidate } from './fleet.read-model.ts';
import * as repository from './fleet.repository.ts';

interface HostChange {
  readonly siteId?: string;
  readonly tags?: readonly string[];
  readonly healthChecks?: readonly HealthCheck[];
  readonly carriesAtlas?: boolean;
}

/** Knows the hosts, what their agents say about them, and which run has them. */
export class FleetService {
  readonly #deps: FleetDeps;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
  }

  /** The host of a machine that enrols. */
  registerHost(
    tx: TenantTx,
    host: { readonly siteId: string; readonly hostname: string; readonly machineId: string },
  ): Promise<string> {
    return repository.upsertHost(tx, { id: this.#deps.newId(), healthChecks: defaultHealthChecks, ...host });
  }

  /** Keeps what an agent says about its own host; the first inventory also proposes health checks. */
  async recordInventory(tenantId: string, hostId: string, inventory: Inventory): Promise<void> {
    await this.#deps.db.inTenant(tenantId, (tx) => this.recordInventoryIn(tx, hostId, inventory));
  }

  /** The same inside a transaction that does more. */
  async recordInventoryIn(tx: TenantTx, hostId: string, inventory: Inventory): Promise<void> {
    const kept = await repository.recordInventory(tx, hostId, inventory);
    if (kept === 'older') return;
    if (kept === 'first') await repository.suggestChecks(tx, hostId, suggestHealthChecks(inventory));
    const { updates, security } = countsOf(inventory);
    const data = { pendingUpdates: updates, pendingSecurity: security };
    await this.#deps.emit(tx, { type: 'host.changed', subjectId: hostId, data });
  }

  /** Facts for the planner. */
  candidates(tx: TenantTx, hostIds: readonly string[]): Promise<HostCandidate[]> {
    return listCandidates(tx, hostIds);
  }

  /** Takes a host for a run (false when another run has it), or gives it back with null. */
  async setActiveRun(tx: TenantTx, hostId: string, runId: string | null): Promise<boolean> {
    const isSet = await repository.setActiveRun(tx, hostId, runId);
    if (isSet) {
      await this.#deps.emit(tx, { type: 'host.changed', subjectId: hostId, data: { activeRunId: runId } });
    }
    return isSet;
  }

  async summary(tenantId: string, personId: string): Promise<FleetSummary> {
    return this.#deps.db.inTenant(tenantId, async (tx) => ({
      ...(await countFleet(tx)),
      ...(await this.#deps.countWork(tx, personId)),
    }));
  }

  async get(tenantId: string, hostId: string): Promise<HostDetail> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const { summary, agentId, healthChecks } = found(await findHost(tx, hostId));
      return {
        host: summary,
        agent: agentId === null ? null : await this.#deps.agents.get(tx, agentId),
        healthChecks,
        inventory: await repository.getInventory(tx, hostId),
      };
    });
  }

  async listUpdates(
    tenantId: string,
    hostId: string,
    query: PageQuery,
  ): Promise<{ items: PendingUpdate[]; nextCursor: string | null; total: number | null }> {
    const inventory = await this.#deps.db.inTenant(tenantId, async (tx) => {
      found(await findHost(tx, hostId));
      return repository.getInventory(tx, hostId);
    });
    const all = orderUpdates(inventory?.updates ?? []);
    const after = decodeCursor(query.cursor, ['text'])?.[0] ?? '';
    const rest = all.filter((update) => updateKey(update) > after);
    return pageOf(rest, limitOf(query), {
      item: (update) => update,
      keys: (update) => [updateKey(update)],
      total: all.length,
    });
  }

  /** Changes a host. Errors: not_found (host or site), precondition_failed when somebody changed it meanwhile. */
  async update(
    scope: { readonly tenantId: string; readonly actor: Actor },
    host: { readonly id: string; readonly version: number },
    change: HostChange,
  ): Promise<HostSummary> {
    return this.#deps.db.inTenant(scope.tenantId, async (tx) => {
      found(await findHost(tx, host.id));
      if (change.siteId !== undefined && !(await repository.siteExists(tx, change.siteId))) {
        throw new AppError('not_found', { detail: 'there is no such site' });
      }
      if (!(await repository.updateHost(tx, host, change))) throw new AppError('precondition_failed');
      await this.#deps.audit.record(tx, {
        action: 'host.updated',
        ...actorOf(scope.actor),
        subjectType: 'host',
        subjectId: host.id,
        outcome: 'ok',
        digest: null,
        details: { ...change },
      });
      const { summary } = found(await findHost(tx, host.id));
      await this.#deps.emit(tx, { type: 'host.changed', subjectId: host.id, data: {} });
      return summary;
    });
  }

  /** Asks the agent for a fresh inventory. Errors: not_found, hosts_unavailable while no agent is connected. */
  async scan(tenantId: string, actor: Actor, hostId: string): Promise<{ commandId: string }> {
    const agentId = await this.#deps.db.inTenant(tenantId, async (tx) => {
      const host = found(await findHost(tx, hostId));
      if (host.agentId === null || host.summary.agentState !== 'connected') {
        throw new AppError('hosts_unavailable', { detail: 'the agent of this host is not connected' });
      }
      await this.#deps.audit.record(tx, {
        action: 'host.scan_requested',
        ...actorOf(actor),
        subjectType: 'host',
        subjectId: hostId,
        outcome: 'ok',
        digest: null,
        details: {},
      });
      return host.agentId;
    });
    const principal = { kind: actor.kind, id: actor.id };
    return this.#deps.submitCommand(tenantId, { hostId, agentId, verb: 'inventory.scan', principal });
  }
}
