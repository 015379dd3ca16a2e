import type { HostSummary } from '#contract/fleet.ts';
import type { MaintenancePolicy, PlanPreview, PlanRequest } from '#contract/plans.ts';
import type { MaintenanceWindow } from '#contract/windows.ts';
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
  timeKind = $state<'exact' | 'windows' | 'emergency'>('exact');
  emergencyReason = $state('');
  windowIds = $state<string[]>([]);
  windows = $state.raw<readonly MaintenanceWindow[] | null>(null);
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
  readonly timeOk = $derived(this.startMs !== null && this.endMs !== null && this.endMs > this.startMs);
  readonly #time = $derived.by((): Pick<PlanRequest, 'notBefore' | 'notAfter' | 'windowIds'> | null => {
    if (this.timeKind === 'windows')
      return this.windowIds.length === 0 ? null : { windowIds: $state.snapshot(this.windowIds) };
    const { startMs, endMs } = this;
    if (!this.timeOk || startMs === null || endMs === null) return null;
    return { notBefore: toInstant(startMs), notAfter: toInstant(endMs) };
  });
  readonly request = $derived.by((): PlanRequest | null => {
    const time = this.#time;
    if (time === null) return null;
    if (this.timeKind === 'emergency' && this.emergencyReason.trim() === '') return null;
    if (this.policyId === '' || this.hostIds.length === 0 || this.title.trim() === '') return null;
    return {
      policyId: this.policyId,
      title: this.title.trim(),
      hostIds: [...this.hostIds],
      ...time,
      ...(this.timeKind === 'emergency' ? { emergency: { reason: this.emergencyReason.trim() } } : {}),
    };
  });
  readonly stale = $derived(
    this.previewed !== null && JSON.stringify(this.previewed) !== JSON.stringify(this.request),
  );

  async load(): Promise<void> {
    try {
      const asked = { params: { tenantId: this.#tenantId }, query: { limit: 200 } };
      const [policies, windows] = await Promise.all([
        call('listMaintenancePolicies', asked),
        call('listWindows', asked),
      ]);
      this.policies = policies.items;
      this.windows = windows.items;
      const [only] = policies.items;
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
    const { previewed, preview } = this;
    if (previewed === null || preview === null || this.stale) return null;
    const { emergency } = previewed;
    const request =
      emergency === undefined || this.typed.trim() === ''
        ? previewed
        : { ...previewed, emergency: { ...emergency, confirmedHosts: Number(this.typed) } };
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
