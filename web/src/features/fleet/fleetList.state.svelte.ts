import type { HostSummary } from '#contract/fleet.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import { SvelteSet } from 'svelte/reactivity';
import { call } from '../../api.ts';
import { toApiError } from '../../problem.ts';
import type { ApiError } from '../../problem.ts';
import type { HostFilters } from './filters.ts';

const pageSize = 100;
/** A plan takes no more hosts than this. */
export const selectionLimit = 10_000;
/** More changed hosts than this at once, and the list is read again instead of host by host. */
const patchAtMost = 8;
const coalesceMs = 400;

/** The fleet's list: pages fetched as the reader scrolls, rows kept fresh by events, and what is selected. */
export class FleetList {
  hosts = $state.raw<readonly HostSummary[]>([]);
  total = $state<number | null>(null);
  loading = $state(true);
  error = $state.raw<ApiError | null>(null);
  readonly selected = new SvelteSet<string>();
  readonly #tenantId: string;
  #filters: HostFilters = {};
  #cursor: string | null = null;
  #generation = 0;
  #changed: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(tenantId: string) {
    this.#tenantId = tenantId;
  }

  get hasMore(): boolean {
    return this.#cursor !== null;
  }

  async show(filters: HostFilters): Promise<void> {
    this.#filters = filters;
    this.#generation += 1;
    this.#cursor = null;
    await this.#read({ append: false, limit: pageSize });
  }

  async more(): Promise<void> {
    if (this.loading || this.#cursor === null) return;
    await this.#read({ append: true, limit: pageSize });
  }

  async reload(): Promise<void> {
    this.#generation += 1;
    this.#cursor = null;
    await this.#read({ append: false, limit: Math.min(200, Math.max(pageSize, this.hosts.length)) });
  }

  toggle(hostId: string): void {
    if (!this.selected.delete(hostId)) this.selected.add(hostId);
  }

  /** Selects everything that matches the filters, also what is not on the screen yet. */
  async selectAll(): Promise<void> {
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof this.fetchPage>> = await this.fetchPage(cursor, 200);
      page.items.forEach((host) => this.selected.add(host.id));
      cursor = page.nextCursor;
    } while (cursor !== null && this.selected.size < selectionLimit);
  }

  fetchPage(cursor: string | null, limit: number) {
    return call('listHosts', {
      params: { tenantId: this.#tenantId },
      query: { ...this.#filters, limit, ...(cursor === null ? {} : { cursor }) },
    });
  }

  /** Takes note of an event; several in a short time cost one reading. */
  hear(event: LiveEvent): void {
    if (event.type !== 'host.changed' && event.type !== 'agent.changed') return;
    if (event.subjectId === null) return;
    if (!this.#changed.includes(event.subjectId)) this.#changed.push(event.subjectId);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#catchUp();
    }, coalesceMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#generation += 1;
  }

  async #catchUp(): Promise<void> {
    const ids = this.#changed;
    this.#changed = [];
    const toPatch = ids.filter((id) => this.hosts.some((host) => host.id === id));
    if (toPatch.length !== ids.length || toPatch.length > patchAtMost) {
      if (this.hosts.length <= 200) await this.reload();
      return;
    }
    try {
      const fresh = await Promise.all(
        toPatch.map((hostId) => call('getHost', { params: { tenantId: this.#tenantId, hostId } })),
      );
      const byId = Object.fromEntries(fresh.map(({ host }) => [host.id, host]));
      this.hosts = this.hosts.map((host) => byId[host.id] ?? host);
    } catch (error) {
      this.error = toApiError(error);
    }
  }

  async #read(options: { append: boolean; limit: number }): Promise<void> {
    const generation = this.#generation;
    this.loading = true;
    try {
      const page = await this.fetchPage(options.append ? this.#cursor : null, options.limit);
      if (generation !== this.#generation) return;
      this.hosts = options.append ? [...this.hosts, ...page.items] : page.items;
      this.#cursor = page.nextCursor;
      this.total = page.total ?? this.total;
      this.error = null;
    } catch (error) {
      if (generation === this.#generation) this.error = toApiError(error);
    } finally {
      if (generation === this.#generation) this.loading = false;
    }
  }
}
