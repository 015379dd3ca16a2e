import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { EndedException } from '#contract/exceptions.ts';
import { confirmAboveHosts } from '#contract/plans.ts';
import type {
  MaintenancePolicy,
  Plan,
  PlanDetail,
  PlanPreview,
  PlanRequest,
  PlanTiming,
} from '#contract/plans.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import { toInstant } from '../../platform/clock.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError, found, invariant } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { drainLimitS, planDocument } from './plan-document.policy.ts';
import type { PlanDocument } from './plan-document.policy.ts';
import { planHosts } from './plans.policy.ts';
import { countHosts, exceptionsOf, warningsOf } from './preview.policy.ts';
import type { Withheld } from './withheld.policy.ts';
import type { HostRelations, PlanCandidate } from './plans.policy.ts';
import {
  historyOf,
  predictHosts,
  predictPlan,
  type PastRuns,
  type PlanDuration,
} from './prediction.policy.ts';
import * as repository from './plans.repository.ts';
import type { PlanRow } from './plans.repository.ts';

interface TimeAsked {
  readonly hostIds: readonly string[];
  readonly expected: PlanDuration | null;
}

interface PlanTime {
  readonly notBefore: string;
  readonly notAfter: string;
  readonly timing: PlanTiming;
}

/** What the plans feature needs of the others; main.ts hands it over. */
export interface PlansDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
  readonly policyOf: (tx: TenantTx, policyId: string) => Promise<MaintenancePolicy | null>;
  readonly candidates: (tx: TenantTx, hostIds: readonly string[]) => Promise<PlanCandidate[]>;
  /** Former runs of these hosts and of the fleet, and what is allowed for without any. */
  readonly history: (tx: TenantTx, hostIds: readonly string[]) => Promise<PastRuns>;
  /** When a plan may run; errors: frozen, invalid_request. */
  readonly times: {
    readonly fromWindows: (
      tx: TenantTx,
      asked: TimeAsked & { readonly windowIds: readonly string[]; readonly afterMs?: number },
    ) => Promise<PlanTime>;
    readonly given: (
      tx: TenantTx,
      asked: TimeAsked & { readonly notBefore: string; readonly notAfter: string },
    ) => Promise<PlanTime>;
  };
  /** What must not be installed on these hosts now. */
  readonly withheld: (tx: TenantTx, hostIds: readonly string[]) => Promise<readonly Withheld[]>;
  readonly exceptions: {
    /** Remembers what a new plan rests on. */
    readonly recordPlan: (tx: TenantTx, planId: string, exceptionIds: readonly string[]) => Promise<void>;
    /** Which of them had ended by then. */
    readonly endedOfPlan: (tx: TenantTx, planId: string, atMs: number) => Promise<EndedException[]>;
  };
  /** Groups and dependencies of the tenant. */
  readonly relations: (tx: TenantTx) => Promise<HostRelations>;
  readonly trust: {
    readonly current: (tx: TenantTx) => Promise<{ readonly document: PolicyDocument } | null>;
  };
}

const soonMs = 24 * 3_600_000;

function invalid(path: string, rule: string, message: string): AppError {
  return new AppError('invalid_request', { fields: [{ path, rule, message }] });
}

/** The time that somebody named, or null when windows are named. Exactly one of the two must be. */
function givenTime(
  { notBefore, notAfter, windowIds }: PlanRequest,
  now: number,
): { readonly notBefore: string; readonly notAfter: string } | null {
  if (windowIds !== undefined) {
    if (notBefore === undefined && notAfter === undefined) return null;
    throw invalid('/body/windowIds', 'one_of', 'name windows or a time, not both');
  }
  if (notBefore === undefined) throw invalid('/body/notBefore', 'required', 'name windows, or when to begin');
  if (notAfter === undefined) throw invalid('/body/notAfter', 'required', 'name windows, or when to end');
  if (Date.parse(notAfter) <= Date.parse(notBefore))
    throw invalid('/body/notAfter', 'after_not_before', 'the window must end after it begins');
  if (Date.parse(notAfter) <= now)
    throw invalid('/body/notAfter', 'in_the_future', 'the window is already over');
  return { notBefore, notAfter };
}

/** An emergency names a time that is near; anything else can wait for a window. */
function refuseFarEmergency(
  { emergency }: PlanRequest,
  given: { readonly notBefore: string } | null,
  now: number,
): void {
  if (emergency === undefined) return;
  if (given === null)
    throw invalid('/body/emergency', 'one_of', 'an emergency names its time and waits for no window');
  if (Date.parse(given.notBefore) > now + soonMs)
    throw invalid('/body/notBefore', 'soon', 'an emergency begins within 24 hours');
}

/** Many hosts at once, without the usual notice: whoever asks says how many. */
function refuseUnconfirmed({ emergency }: PlanRequest, { counts: { included } }: PlanPreview): void {
  if (emergency === undefined || included <= confirmAboveHosts || emergency.confirmedHosts === included)
    return;
  throw invalid('/body/emergency/confirmedHosts', 'confirmation', `say that ${included} hosts are changed`);
}

/** What a plan is made of, and in whose name. */
interface Making {
  readonly request: PlanRequest;
  readonly createdBy: string;
  /** Null: the server makes it. */
  readonly by: TenantActor | null;
  readonly afterMs?: number;
  /** The plan whose next occurrence this is. */
  readonly again?: string;
}

/** Names each host for which there is no order, with the reason. */
function refuseImpossible(request: PlanRequest, { refusals = [] }: PlanPreview): void {
  if (refusals.length === 0) return;
  throw new AppError('plan_impossible', {
    detail: refusals.map(({ code, values }) => `${code}: ${Object.values(values).join(', ')}`).join('; '),
    fields: refusals.flatMap(({ code, hostIds, values }) =>
      request.hostIds.flatMap((hostId, index) =>
        hostIds.includes(hostId)
          ? [{ path: `/body/hostIds/${index}`, rule: code, message: Object.values(values).join(', ') }]
          : [],
      ),
    ),
  });
}

export class PlansService {
  readonly #deps: PlansDeps;

  constructor(deps: PlansDeps) {
    this.#deps = deps;
  }

  /** What the plan would do, without making it. Errors: not_found (policy, host), invalid_request. */
  async preview(actor: TenantActor, request: PlanRequest): Promise<PlanPreview> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const preview = await this.#compose(tx, { request, createdBy: actor.id, by: actor });
      await this.#deps.audit.record(tx, {
        action: 'plan.previewed',
        ...actorOf(actor),
        subjectType: 'maintenance_policy',
        subjectId: request.policyId,
        outcome: 'ok',
        digest: null,
        details: {
          hosts: preview.counts.hosts,
          included: preview.counts.included,
          refusals: (preview.refusals ?? []).map(({ code, values }) => ({ code, ...values })),
        },
      });
      return preview;
    });
  }

  /** Makes an immutable plan. Errors: as preview, plan_impossible, and nothing_to_install when no host would be changed. */
  async create(actor: TenantActor, request: PlanRequest): Promise<PlanDetail> {
    const { planId } = await this.#deps.db.inTenant(actor.tenantId, (tx) =>
      this.#make(tx, { request, createdBy: actor.id, by: actor }),
    );
    return this.get(actor.tenantId, planId);
  }

  /**
   * A new plan for the next occurrence of the same window, with these hosts; people must release it.
   * `by` null: the server makes it for who made the old one. Errors: as create, transition_refused without a window.
   */
  async planAgain(
    tx: TenantTx,
    by: TenantActor | null,
    again: {
      readonly planId: string;
      readonly hostIds: readonly string[];
      readonly after: 'now' | 'occurrence';
    },
  ): Promise<{ readonly planId: string; readonly notBefore: string }> {
    const { preview, title, createdBy } = found(await repository.getPlan(tx, again.planId));
    const window = preview.timing?.window ?? null;
    if (window === null)
      throw new AppError('transition_refused', { detail: 'the time of this plan came from no window' });
    const hostIds = [...again.hostIds];
    return this.#make(tx, {
      request: { policyId: preview.policy.id, title, hostIds, windowIds: [window.windowId] },
      ...{ by, createdBy: by?.id ?? createdBy, again: again.planId },
      afterMs: again.after === 'now' ? 0 : Date.parse(window.endsAt),
    });
  }

  async #make(
    tx: TenantTx,
    making: Making,
  ): Promise<{ readonly planId: string; readonly notBefore: string }> {
    const { request, by, createdBy, again } = making;
    const preview = await this.#compose(tx, making);
    refuseImpossible(request, preview);
    refuseUnconfirmed(request, preview);
    if (preview.counts.included === 0) {
      throw new AppError('nothing_to_install', { detail: 'no host of this plan would be changed' });
    }
    const id = this.#deps.newId();
    const tenantId = this.#deps.db.tenantOf(tx);
    invariant(tenantId !== null, 'a plan is made in the scope of its tenant');
    const text = canonicalize(planDocument(id, tenantId, preview));
    invariant(text !== undefined, 'a plan has no canonical form');
    const document = Buffer.from(text, 'utf8');
    const documentSha256 = hash('sha256', document, 'hex');
    const { notBefore, notAfter, policy } = preview;
    const { title, policyId } = request;
    await repository.createPlan(tx, {
      ...{ id, title, policyId, policyName: policy.name, notBefore, notAfter },
      ...{ document, documentSha256, preview, createdBy },
    });
    await this.#deps.exceptions.recordPlan(tx, id, exceptionsOf(preview.hosts));
    await this.#deps.audit.record(tx, {
      action: 'plan.created',
      ...(by === null ? { actorKind: 'system' as const, actorId: null } : actorOf(by)),
      subjectType: 'plan',
      subjectId: id,
      outcome: 'ok',
      digest: documentSha256,
      details: {
        policyId,
        ...preview.counts,
        ...(again === undefined ? {} : { again }),
        ...(preview.emergency === undefined ? {} : { emergency: true }),
      },
    });
    await this.#deps.emit(tx, { type: 'plan.changed', subjectId: id, data: { state: 'planned' } });
    return { planId: id, notBefore };
  }

  async get(tenantId: string, planId: string): Promise<PlanDetail> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const row = found(await repository.getPlan(tx, planId));
      const endedExceptions = await this.#deps.exceptions.endedOfPlan(tx, planId, row.notAfter.getTime());
      return { plan: this.#view(row), preview: row.preview, endedExceptions };
    });
  }

  /** Newest first. */
  async list(tenantId: string, page: IdPage) {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listPlans(tx, page);
      const total = await repository.countPlans(tx);
      return pageOf(rows, page.limit, { item: (row) => this.#view(row), keys: byId, total });
    });
  }

  /** The document whose digest is released, for the releases feature. */
  async documentOf(
    tx: TenantTx,
    planId: string,
  ): Promise<{ readonly document: PlanDocument; readonly sha256: string } | null> {
    const row = await repository.getPlan(tx, planId);
    if (row === null) return null;
    return {
      document: JSON.parse(row.document.toString('utf8')) as PlanDocument,
      sha256: row.documentSha256,
    };
  }

  async #compose(tx: TenantTx, { request, createdBy, afterMs = 0 }: Making): Promise<PlanPreview> {
    const now = this.#deps.clock.now();
    const given = givenTime(request, now);
    refuseFarEmergency(request, given, now);
    const policy = found(await this.#deps.policyOf(tx, request.policyId));
    const candidates = await this.#deps.candidates(tx, request.hostIds);
    const known = new Set(candidates.map((candidate) => candidate.hostId));
    const missing = request.hostIds.findIndex((hostId) => !known.has(hostId));
    if (missing >= 0) {
      throw new AppError('invalid_request', {
        fields: [{ path: `/body/hostIds/${missing}`, rule: 'exists', message: 'there is no such host here' }],
      });
    }
    const history = historyOf(await this.#deps.history(tx, request.hostIds));
    const relations = await this.#deps.relations(tx);
    const withheld = await this.#deps.withheld(tx, request.hostIds);
    const { hosts: planned, refusals } = planHosts(policy, candidates, { now, relations, withheld });
    const drainS = drainLimitS(policy);
    const { hosts, predictions } = predictHosts(planned, drainS === null ? history : { ...history, drainS });
    const { hostIds, windowIds = [] } = request;
    const asked = { hostIds, expected: predictPlan(predictions, policy.waves.pauseS) };
    const { times } = this.#deps;
    const time = await (given === null
      ? times.fromWindows(tx, { ...asked, windowIds, afterMs })
      : times.given(tx, { ...asked, ...given }));
    const trust = await this.#deps.trust.current(tx);
    const signers = new Set(
      (trust?.document.approvers ?? [])
        .filter((key) => key.classes.includes('R2') && key.personId !== createdBy)
        .map((key) => key.personId),
    );
    const draft = {
      policy,
      title: request.title,
      ...time,
      ...(request.emergency === undefined ? {} : { emergency: { reason: request.emergency.reason } }),
      hosts,
      refusals,
      counts: countHosts(hosts),
      class: 'R2' as const,
      signersNeeded: trust?.document.thresholds.R2 ?? 2,
      signersAvailable: signers.size,
    };
    return { ...draft, warnings: warningsOf(draft) };
  }

  #view(row: PlanRow): Plan {
    const over = row.notAfter.getTime() <= this.#deps.clock.now();
    const asked = row.releaseState === 'awaiting_signatures';
    return {
      id: row.id,
      title: row.title,
      policyName: row.policyName,
      sha256: row.documentSha256,
      state:
        row.releaseState === 'approved'
          ? 'released'
          : over
            ? 'expired'
            : asked
              ? 'release_drafted'
              : 'planned',
      notBefore: toInstant(row.notBefore),
      notAfter: toInstant(row.notAfter),
      createdBy: row.createdBy,
      createdByName: row.createdByName ?? '—',
      createdAt: toInstant(row.createdAt),
      counts: row.counts,
      releaseId: row.releaseId,
      runId: row.releaseState === 'approved' ? row.runId : null,
    };
  }
}
