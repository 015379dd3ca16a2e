import type { FleetSummary } from '#contract/fleet.ts';
import type { Site } from '#contract/tenants.ts';
import type { LockState } from '#contract/releases.ts';
import type { RunSummary } from '#contract/runs.ts';
import { call } from './api.ts';
import { session } from './session.state.svelte.ts';
import { Resource, keepFresh } from './resource.state.svelte.ts';

/** What the frame around every page shows of the current tenant: counts, live runs, the lock, sites. */
class TenantState {
  tenantId = $state<string | null>(null);
  sites = $state.raw<readonly Site[]>([]);

  readonly summary = new Resource<FleetSummary>((signal) =>
    call('getFleetSummary', { params: this.#params(), signal }),
  );
  readonly lock = new Resource<LockState>((signal) => call('getLock', { params: this.#params(), signal }));
  readonly activeRuns = new Resource<RunSummary[]>((signal) => this.#readActiveRuns(signal));

  /** Zone in which times are shown: the sites' own when they agree, the reader's otherwise. */
  readonly zone = $derived.by(() => {
    const zones = new Set(this.sites.map((site) => site.timeZone));
    const [only] = zones;
    return zones.size === 1 && only !== undefined ? only : Intl.DateTimeFormat().resolvedOptions().timeZone;
  });

  readonly membership = $derived(this.tenantId === null ? undefined : session.membership(this.tenantId));

  /** Follows a tenant until the returned function is called. */
  follow(tenantId: string): () => void {
    this.tenantId = tenantId;
    void this.reloadSites();
    const leave = [
      this.#watch(this.summary, 'fleet.read', {
        types: ['host.changed', 'agent.changed', 'release.changed', 'run.changed', 'hostRun.changed'],
      }),
      this.#watch(this.lock, 'locks.read', { types: ['lock.changed'] }),
      this.#watch(this.activeRuns, 'runs.read', { types: ['run.changed', 'hostRun.changed'] }),
    ];
    return () => leave.forEach((stop) => stop());
  }

  async reloadSites(): Promise<void> {
    const tenantId = this.tenantId;
    if (tenantId === null || !session.can(tenantId, 'fleet.read')) return;
    const page = await call('listSites', { params: { tenantId }, query: { limit: 200 } });
    if (tenantId === this.tenantId) this.sites = page.items;
  }

  #params(): { tenantId: string } {
    return { tenantId: this.tenantId ?? '' };
  }

  #watch(
    resource: Resource<unknown>,
    permission: Parameters<typeof session.can>[1],
    watch: Parameters<typeof keepFresh>[1],
  ): () => void {
    resource.value = undefined;
    if (!session.can(this.tenantId ?? '', permission)) return () => undefined;
    return keepFresh(resource, watch);
  }

  async #readActiveRuns(signal: AbortSignal): Promise<RunSummary[]> {
    const page = await call('listRuns', { params: this.#params(), query: { limit: 20 }, signal });
    return page.items.filter((run) => run.endedAt === null && run.state !== 'scheduled');
  }
}

export const tenant = new TenantState();
