import type { EnvelopeSignature } from '#contract/dsse.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { ApproverKey, PolicyDocument, ReleaseBundle, TargetDocument } from '#contract/trust.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';
import type { PlanDocument } from '../plans/plans.module.ts';

/** What the releases feature needs of the others; main.ts hands it over. */
export interface ReleasesDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  /** WebAuthn relying party id under which people sign. */
  readonly rpId: string;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
  readonly plans: {
    readonly documentOf: (
      tx: TenantTx,
      planId: string,
    ) => Promise<{ readonly document: PlanDocument; readonly sha256: string } | null>;
  };
  readonly trust: {
    readonly current: (
      tx: TenantTx,
    ) => Promise<{ readonly epoch: number; readonly document: PolicyDocument } | null>;
    readonly keysOfPerson: (tx: TenantTx, personId: string) => Promise<ApproverKey[]>;
    readonly verifySignature: (input: {
      readonly document: PolicyDocument;
      readonly payloadType: string;
      readonly payload: Uint8Array;
      readonly signature: EnvelopeSignature;
    }) => Promise<
      { readonly ok: true; readonly key: ApproverKey } | { readonly ok: false; readonly code: string }
    >;
  };
  /** Says in the same transaction that a run was released, so that people are told of it. */
  readonly announce: (
    tx: TenantTx,
    run: {
      readonly planId: string;
      readonly runId: string;
      readonly title: string;
      readonly notBefore: Date;
      readonly notAfter: Date;
      readonly hostIds: readonly string[];
      readonly emergency: string | null;
    },
  ) => Promise<void>;
  readonly runs: { readonly createFromRelease: (tx: TenantTx, release: ReleasedRun) => Promise<void> };
  /** Resolves once the entry is in a signed checkpoint; rejects with audit_unavailable when the log cannot. */
  readonly seal: (tenantId: string, entryId: string) => Promise<ReleaseBundle['audit']>;
  /** Told after the commit in which a release became approved. */
  readonly approved: (tenantId: string, releaseId: string, entryId: string) => void;
}

/** A run that two people have released: what the engine starts from. */
export interface ReleasedRun {
  readonly tenantId: string;
  readonly runId: string;
  readonly releaseId: string;
  readonly planId: string;
  readonly title: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** What the window says about its end; null when the time came from no window. */
  readonly limits: { readonly startBy: Date; readonly changeBy: Date } | null;
  readonly approvedEntryId: string;
  readonly waves: { readonly pauseS: number; readonly failureThresholdPercent: number };
  readonly restart: 'if_required' | 'always' | 'never';
  readonly targets: readonly {
    readonly hostId: string;
    readonly agentId: string;
    readonly hostname: string;
    readonly wave: number;
    readonly order: number;
    readonly rollbackTier: number;
    readonly document: TargetDocument;
  }[];
}

/** Tells screens that a release is no longer what it was, once the transaction has committed. */
export function releaseChanged(
  deps: Pick<ReleasesDeps, 'emit'>,
  tx: TenantTx,
  release: { readonly id: string; readonly planId: string; readonly state: string },
): Promise<void> {
  const { id, planId, state } = release;
  return deps.emit(tx, { type: 'release.changed', subjectId: id, data: { state, planId } });
}
