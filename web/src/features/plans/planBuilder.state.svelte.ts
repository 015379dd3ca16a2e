import type { HostSummary } from '#contract/fleet.ts';
import type { MaintenancePolicy, PlanPreview, PlanRequest } from '#contract/plans.ts';
import { call } from '../../api.ts';
import { toApiError } from '../../problem.ts';
import type { ApiError } from '../../problem.ts';
import { fromLocalField, nextHour, toInstant, toLocalField } from './windowTimes.ts';

const windowHours = 4;

/** What somebody is composing; nothing exists on the server before `create`. */
export class PlanBuilder {
  title = $state('');
  policyId = $state('');
  hostIds = $state.raw<readonly string[]>([]);
  startText = $state('');
  endText = $state('');
  policies = $state.raw<readonly MaintenancePolicy[] | null>(null);
  preview = $state.raw<PlanPreview | null>(null);
  /** The request that `preview` answers; anything changed since makes it old. */
  previewed = $state.raw<PlanRequest | null>(null);
  error = $state.raw<ApiError | null>(null);
  busy = $state<'preview' | 'create' | null>(null);
  typed = $state('');
  readonly #tenantId: string;
  readonly #zone: string;

  constructor(tenantId: string, zone: string, hostIds: readonly string[]) {
    this.#tenantId = tenantId;
    this.#zone = zone;
    this.hostIds = hostIds;
    const start = nextHour(Date.now());
    this.startText = toLocalField(start, zone);
    this.endText = toLocalField(start + windowHours * 3_600_000, zone);
  }

  readonly startMs = $derived.by(() => fromLocalField(this.startText, this.#zone));
  readonly endMs = $derived.by(() => fromLocalField(this.endText, this.#zone));
  readonly windowOk = $derived(this.startMs !== null && this.endMs !== null && this.endMs > this.startMs);
  readonly request = $derived.by((): PlanRequest | null => {
    const { startMs, endMs } = this;
    if (!this.windowOk || startMs === null || endMs === null) return null;
    if (this.policyId === '' || this.hostIds.length === 0 || this.title.trim() === '') return null;
    return {
      policyId: this.policyId,
      title: this.title.trim(),
      hostIds: [...this.hostIds],
      notBefore: toInstant(startMs),
      notAfter: toInstant(endMs),
    };
  });
  readonly stale = $derived(
    this.previewed !== null && JSON.stringify(this.previewed) !== JSON.stringify(this.request),
  );

  async loadPolicies(): Promise<void> {
    try {
      const page = await call('listMaintenancePolicies', {
        params: { tenantId: this.#tenantId },
        query: { limit: 200 },
      });
      this.policies = page.items;
      const [only] = page.items;
      if (this.policyId === '' && only !== undefined) this.policyId = only.id;
    } catch (error) {
      this.error = toApiError(error);
    }
  }

  async showPreview(): Promise<void> {
    const request = this.request;
    if (request === null) return;
    await this.#during('preview', async () => {
      this.preview = await call('previewPlan', { params: { tenantId: this.#tenantId }, body: request });
      this.previewed = request;
    });
  }

  /** Makes the plan as it was previewed; returns its id, or null when the server refused. */
  async create(): Promise<string | null> {
    const request = this.previewed;
    if (request === null || this.stale) return null;
    let planId: string | null = null;
    await this.#during('create', async () => {
      const made = await call('createPlan', { params: { tenantId: this.#tenantId }, body: request });
      planId = made.plan.id;
    });
    return planId;
  }

  add(hosts: readonly Pick<HostSummary, 'id'>[]): void {
    const known = this.hostIds;
    this.hostIds = [...known, ...hosts.map(({ id }) => id).filter((id) => !known.includes(id))];
  }

  remove(hostId: string): void {
    this.hostIds = this.hostIds.filter((id) => id !== hostId);
  }

  async #during(what: 'preview' | 'create', act: () => Promise<void>): Promise<void> {
    this.busy = what;
    this.error = null;
    try {
      await act();
    } catch (error) {
      this.error = toApiError(error);
    } finally {
      this.busy = null;
    }
  }
}
