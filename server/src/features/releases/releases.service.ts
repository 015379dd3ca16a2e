import canonicalize from 'canonicalize';
import type { ReleaseDetail, ReleaseSummary } from '#contract/releases.ts';
import type { TargetDocument } from '#contract/trust.ts';
import { AppError, found, invariant } from '../../platform/errors.ts';
import type { TenantTx } from '../../platform/db.ts';
import { actorOf } from '../../platform/http/caller.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import { releaseDocument, stateAt, targetDocuments } from './release-document.policy.ts';
import { sha256Hex, targetsRoot } from './release-tree.ts';
import * as repository from './releases.repository.ts';
import type { ReleaseRow, ReleaseState } from './releases.repository.ts';
import { releaseDetail, releaseSummary } from './releases.views.ts';
import type { Viewer } from './releases.views.ts';
import { releaseChanged } from './releases.deps.ts';
import type { ReleasesDeps } from './releases.deps.ts';

/** What a caller sends to ask for signatures. */
export interface ReleaseRequestBody {
  readonly reason: string;
  readonly ticket?: string;
}

/** One tenant, and who looks at it. */
export interface ReleaseScope {
  readonly tenantId: string;
  readonly viewer: Viewer;
}

function jcs(value: unknown): Buffer {
  const text = canonicalize(value);
  invariant(text !== undefined, 'a document has no canonical form');
  return Buffer.from(text, 'utf8');
}

export class ReleasesService {
  readonly #deps: ReleasesDeps;

  constructor(deps: ReleasesDeps) {
    this.#deps = deps;
  }

  /** Drafts the document to sign for a plan. Errors: not_found, transition_refused, policy_refused. */
  async create(scope: ReleaseScope, planId: string, body: ReleaseRequestBody): Promise<ReleaseDetail> {
    const { db, plans, trust } = this.#deps;
    const { plan, policy } = await db.inTenant(scope.tenantId, async (tx) => ({
      plan: found(await plans.documentOf(tx, planId)),
      policy: await trust.current(tx),
    }));
    if (policy === null) {
      throw new AppError('policy_refused', {
        detail: 'no policy document is published: nobody is entitled to release',
      });
    }
    if (Date.parse(plan.document.notAfter) <= this.#deps.clock.now()) {
      throw new AppError('transition_refused', { detail: 'the window of this plan is over' });
    }
    const cap = policy.document.caps.targetsPerRelease;
    if (plan.document.targets.length > cap) {
      throw new AppError('policy_refused', {
        detail: `the policy document allows ${cap} hosts in one release`,
      });
    }
    const id = this.#deps.newId();
    const targets = targetDocuments(plan.document, id).map((target) => ({ target, document: jcs(target) }));
    const payload = jcs(
      releaseDocument(
        plan.document,
        {
          id,
          runId: this.#deps.newId(),
          requester: scope.viewer.id,
          reason: body.reason,
          ticket: body.ticket ?? null,
          policyEpoch: policy.epoch,
          logOrigin: policy.document.auditLog.origin,
          planSha256: plan.sha256,
        },
        { rootSha256: await targetsRoot(targets.map((leaf) => leaf.document)), count: targets.length },
      ),
    );
    await this.#insert(scope, { id, planId, payload, targets, needed: policy.document.thresholds.R2 });
    return this.get(scope, id);
  }

  async #insert(
    scope: ReleaseScope,
    draft: {
      readonly id: string;
      readonly planId: string;
      readonly payload: Buffer;
      readonly targets: readonly { readonly target: TargetDocument; readonly document: Buffer }[];
      readonly needed: number;
    },
  ): Promise<void> {
    const document = JSON.parse(draft.payload.toString('utf8')) as ReturnType<typeof releaseDocument>;
    const payloadSha256 = sha256Hex(draft.payload);
    await this.#deps.db.inTenant(scope.tenantId, async (tx) => {
      await this.#expireStale(tx, draft.planId, document.policyEpoch);
      const made = await repository.createRelease(tx, {
        id: draft.id,
        planId: draft.planId,
        runId: document.runId,
        policyEpoch: document.policyEpoch,
        requesterId: scope.viewer.id,
        reason: document.reason,
        notBefore: document.notBefore,
        notAfter: document.notAfter,
        payload: draft.payload,
        payloadSha256,
        signaturesNeeded: draft.needed,
        targets: draft.targets.map(({ target, document: bytes }) => ({
          hostId: target.host,
          agentId: target.agent,
          document: bytes,
        })),
      });
      if (!made)
        throw new AppError('transition_refused', {
          detail: 'this plan is already released or waits for signatures',
        });
      await this.#deps.audit.record(tx, {
        action: 'release.drafted',
        ...actorOf(scope.viewer),
        subjectType: 'release',
        subjectId: draft.id,
        outcome: 'ok',
        digest: payloadSha256,
        details: {
          planId: draft.planId,
          runId: document.runId,
          hosts: draft.targets.length,
          class: document.class,
        },
      });
      await releaseChanged(this.#deps, tx, {
        id: draft.id,
        planId: draft.planId,
        state: 'awaiting_signatures',
      });
    });
  }

  /** A request drafted under an older policy document can never be completed: the new request replaces it. */
  async #expireStale(tx: TenantTx, planId: string, policyEpoch: number): Promise<void> {
    for (const stale of await repository.listStale(tx, planId, policyEpoch)) {
      await repository.lockRelease(tx, stale.id);
      await repository.closeRelease(tx, stale.id, { state: 'expired' });
      await this.#deps.audit.record(tx, {
        action: 'release.expired',
        actorKind: 'system',
        actorId: null,
        subjectType: 'release',
        subjectId: stale.id,
        outcome: 'ok',
        digest: stale.payloadSha256,
        details: { why: 'policy_document_changed', policyEpoch },
      });
    }
  }

  /** Newest first. */
  async list(scope: ReleaseScope, page: IdPage & { readonly state: ReleaseState | null }) {
    return this.#deps.db.inTenant(scope.tenantId, async (tx) => {
      const now = this.#deps.clock.now();
      const rows = await repository.listReleases(tx, { ...page, now: new Date(now) });
      const signatures = await repository.listSignatures(
        tx,
        rows.map((row) => row.id),
      );
      const around = await this.#surroundings(tx, scope, rows);
      return pageOf(rows, page.limit, {
        item: (row): ReleaseSummary => releaseSummary(row, signatures.get(row.id) ?? [], around),
        keys: byId,
      });
    });
  }

  /** One release with the bytes to sign. Errors: not_found. */
  async get(scope: ReleaseScope, releaseId: string): Promise<ReleaseDetail> {
    return this.#deps.db.inTenant(scope.tenantId, async (tx) => {
      const row = found(await repository.getRelease(tx, releaseId));
      const signatures = (await repository.listSignatures(tx, [releaseId])).get(releaseId) ?? [];
      const targets = await repository.listTargets(tx, releaseId);
      const around = await this.#surroundings(tx, scope, [row]);
      return releaseDetail(row, { signatures, targets, rpId: this.#deps.rpId }, around);
    });
  }

  /** One refusal ends the request; the plan can be released again by a new one. */
  async refuse(scope: ReleaseScope, releaseId: string, reason: string): Promise<ReleaseDetail> {
    await this.#deps.db.inTenant(scope.tenantId, async (tx) => {
      const row = found(await repository.getRelease(tx, releaseId));
      const locked = found(await repository.lockRelease(tx, releaseId));
      const now = this.#deps.clock.now();
      if (stateAt({ state: locked.state, notAfter: row.notAfter.getTime() }, now) !== 'awaiting_signatures') {
        throw new AppError('transition_refused', { detail: 'this release no longer waits for signatures' });
      }
      await repository.closeRelease(tx, releaseId, {
        state: 'refused',
        personId: scope.viewer.id,
        reason,
        at: new Date(now),
      });
      await this.#deps.audit.record(tx, {
        action: 'release.refused',
        ...actorOf(scope.viewer),
        subjectType: 'release',
        subjectId: releaseId,
        outcome: 'refused',
        digest: row.payloadSha256,
        details: { reason },
      });
      await releaseChanged(this.#deps, tx, { id: releaseId, planId: row.planId, state: 'refused' });
    });
    return this.get(scope, releaseId);
  }

  async #surroundings(tx: TenantTx, scope: ReleaseScope, rows: readonly ReleaseRow[]) {
    const people = rows.flatMap((row) => [
      row.requesterId,
      ...(row.refusedBy === null ? [] : [row.refusedBy]),
    ]);
    return {
      viewer: scope.viewer,
      viewerKeys: await this.#deps.trust.keysOfPerson(tx, scope.viewer.id),
      names: await repository.namesOf(tx, people),
      now: this.#deps.clock.now(),
    };
  }
}
