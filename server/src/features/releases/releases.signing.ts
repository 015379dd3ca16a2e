import { payloadTypes } from '#contract/dsse.ts';
import type { EnvelopeSignature } from '#contract/dsse.ts';
import type { TargetDocument } from '#contract/trust.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError, found, invariant } from '../../platform/errors.ts';
import { actorOf } from '../../platform/http/caller.ts';
import { mySignature, stateAt } from './release-document.policy.ts';
import type { PlanDocument } from '../plans/plans.module.ts';
import { releaseChanged } from './releases.deps.ts';
import type { ReleasedRun, ReleasesDeps } from './releases.deps.ts';
import * as repository from './releases.repository.ts';
import type { ReleaseRow } from './releases.repository.ts';
import type { ReleaseScope } from './releases.service.ts';
import type { Viewer } from './releases.views.ts';

interface Signed {
  readonly viewer: Viewer;
  readonly keyId: string;
  readonly custody: string;
  readonly signature: EnvelopeSignature;
}

/** Signatures and the approval that the last one brings. */
export class ReleaseSigning {
  readonly #deps: ReleasesDeps;

  constructor(deps: ReleasesDeps) {
    this.#deps = deps;
  }

  /** Adds the caller's signature; the last one that is needed approves the release and creates its run. */
  async sign(scope: ReleaseScope, releaseId: string, signature: EnvelopeSignature): Promise<void> {
    const { db, trust } = this.#deps;
    const { row, policy } = await db.inTenant(scope.tenantId, async (tx) => ({
      row: found(await repository.getRelease(tx, releaseId)),
      policy: await trust.current(tx),
    }));
    if (policy?.epoch !== row.policyEpoch) {
      throw new AppError('transition_refused', {
        detail: 'the policy document has changed since this release was drafted: ask for the release again',
      });
    }
    // Cryptography stays outside the transaction; what it proves does not depend on the rows that may change meanwhile.
    const verdict = await trust.verifySignature({
      document: policy.document,
      payloadType: payloadTypes.command,
      payload: row.payload,
      signature,
    });
    if (!verdict.ok) throw new AppError('signature_refused', { detail: verdict.code });
    const { key } = verdict;
    if (key.personId !== scope.viewer.id)
      throw new AppError('signature_refused', { detail: 'signer_is_not_the_caller' });
    if (!key.classes.includes(row.class))
      throw new AppError('signature_refused', { detail: 'signer_not_entitled' });
    const entryId = await db.inTenant(scope.tenantId, (tx) =>
      this.#recordSignature(tx, row, {
        viewer: scope.viewer,
        keyId: key.keyId,
        custody: key.custody,
        signature,
      }),
    );
    if (entryId !== null) this.#deps.approved(scope.tenantId, releaseId, entryId);
  }

  async #recordSignature(tx: TenantTx, row: ReleaseRow, signed: Signed): Promise<string | null> {
    const { viewer, keyId, custody, signature } = signed;
    const locked = found(await repository.lockRelease(tx, row.id));
    const now = this.#deps.clock.now();
    const signatures = (await repository.listSignatures(tx, [row.id])).get(row.id) ?? [];
    const state = stateAt({ state: locked.state, notAfter: row.notAfter.getTime() }, now);
    const view = {
      state,
      requesterId: row.requesterId,
      signers: signatures.map((s) => s.personId),
      class: row.class,
    };
    const may = mySignature(view, {
      personId: viewer.id,
      maySign: viewer.maySign,
      keyClasses: [[row.class]],
    });
    if (may !== 'possible') {
      const code = may === 'requester' ? 'signature_refused' : 'transition_refused';
      throw new AppError(code, { detail: may === 'requester' ? 'signer_is_requester' : may });
    }
    const added = await repository.addSignature(tx, row.id, {
      personId: viewer.id,
      keyId,
      custody,
      signature,
    });
    // The row's own key says so too: a signature that is not there is not counted.
    if (!added) throw new AppError('transition_refused', { detail: 'done' });
    await this.#deps.audit.record(tx, {
      action: 'release.signed',
      ...actorOf(viewer),
      subjectType: 'release',
      subjectId: row.id,
      outcome: 'ok',
      digest: row.payloadSha256,
      details: {
        keyId,
        custody,
        signatures: signatures.length + 1,
        needed: row.signaturesNeeded,
      },
    });
    if (signatures.length + 1 < row.signaturesNeeded) {
      await releaseChanged(this.#deps, tx, { id: row.id, planId: row.planId, state: 'awaiting_signatures' });
      return null;
    }
    return this.#approve(tx, row, [...view.signers, viewer.id]);
  }

  async #approve(tx: TenantTx, row: ReleaseRow, signers: readonly string[]): Promise<string> {
    const { audit, plans, runs, clock } = this.#deps;
    const entry = await audit.record(tx, {
      action: 'release.approved',
      actorKind: 'system',
      actorId: null,
      subjectType: 'release',
      subjectId: row.id,
      outcome: 'ok',
      digest: row.payloadSha256,
      details: {
        planId: row.planId,
        runId: row.runId,
        class: row.class,
        epoch: row.policyEpoch,
        signers: [...signers],
      },
    });
    await repository.closeRelease(tx, row.id, {
      state: 'approved',
      entryId: entry.id,
      at: new Date(clock.now()),
    });
    const plan = found(await plans.documentOf(tx, row.planId));
    const targets = await repository.listTargets(tx, row.id);
    await runs.createFromRelease(tx, {
      tenantId: row.tenantId,
      runId: row.runId,
      releaseId: row.id,
      planId: row.planId,
      title: row.planTitle,
      notBefore: row.notBefore,
      notAfter: row.notAfter,
      limits: limitsOf(plan.document),
      approvedEntryId: entry.id,
      waves: {
        pauseS: plan.document.policy.waves.pauseS,
        failureThresholdPercent: plan.document.policy.waves.failureThresholdPercent,
      },
      restart: plan.document.policy.restart,
      targets: targets.map((target, index) => {
        const planned = plan.document.targets.find((candidate) => candidate.host === target.hostId);
        invariant(planned !== undefined, 'a released host is not in its plan');
        return {
          hostId: target.hostId,
          agentId: target.agentId,
          hostname: planned.hostname,
          wave: planned.wave,
          order: index,
          rollbackTier: planned.rollbackTier,
          document: JSON.parse(target.document.toString('utf8')) as TargetDocument,
        };
      }),
    });
    await this.#deps.announce(tx, {
      ...{ planId: row.planId, runId: row.runId, title: row.planTitle },
      ...{ notBefore: row.notBefore, notAfter: row.notAfter },
      hostIds: targets.map(({ hostId }) => hostId),
      emergency: plan.document.emergency?.reason ?? null,
    });
    await releaseChanged(this.#deps, tx, { id: row.id, planId: row.planId, state: 'approved' });
    return entry.id;
  }
}

/** What the released plan says about its end. */
function limitsOf({ window }: PlanDocument): ReleasedRun['limits'] {
  return window === undefined
    ? null
    : { startBy: new Date(window.startBy), changeBy: new Date(window.changeBy) };
}
