import type { ReleaseDetail, ReleaseSummary } from '#contract/releases.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { ApproverKey } from '#contract/trust.ts';
import { toInstant } from '../../platform/clock.ts';
import { mySignature, stateAt } from './release-document.policy.ts';
import type { ReleaseRow, SignatureRow, TargetRow } from './releases.repository.ts';

/** Who looks: what can be signed depends on it. */
export interface Viewer {
  readonly id: string;
  readonly kind: 'person' | 'apiKey';
  readonly maySign: boolean;
}

interface Surroundings {
  readonly viewer: Viewer;
  readonly viewerKeys: readonly ApproverKey[];
  readonly names: ReadonlyMap<string, string>;
  readonly now: number;
}

/** A release as lists show it. */
export function releaseSummary(
  row: ReleaseRow,
  signatures: readonly SignatureRow[],
  around: Surroundings,
): ReleaseSummary {
  const state = stateAt({ state: row.state, notAfter: row.notAfter.getTime() }, around.now);
  const view = {
    state,
    requesterId: row.requesterId,
    signers: signatures.map((s) => s.personId),
    class: row.class,
  };
  return {
    id: row.id,
    planId: row.planId,
    planTitle: row.planTitle,
    runId: row.runId,
    state,
    class: row.class,
    reason: row.reason,
    requesterId: row.requesterId,
    requesterName: around.names.get(row.requesterId) ?? '—',
    hosts: row.targetsCount,
    notBefore: toInstant(row.notBefore),
    notAfter: toInstant(row.notAfter),
    createdAt: toInstant(row.createdAt),
    signatures: signatures.map((s) => ({
      personId: s.personId,
      personName: s.personName,
      at: toInstant(s.createdAt),
      custody: s.custody,
    })),
    signaturesNeeded: row.signaturesNeeded,
    mySignature: mySignature(view, {
      personId: around.viewer.id,
      maySign: around.viewer.maySign,
      keyClasses: around.viewerKeys.map((key) => key.classes),
    }),
  };
}

/** Everything that the signing page needs: the very bytes, never a description of them. */
export function releaseDetail(
  row: ReleaseRow,
  parts: {
    readonly signatures: readonly SignatureRow[];
    readonly targets: readonly TargetRow[];
    readonly rpId: string;
  },
  around: Surroundings,
): ReleaseDetail {
  return {
    release: releaseSummary(row, parts.signatures, around),
    payloadType: payloadTypes.command,
    payload: row.payload.toString('base64url'),
    payloadSha256: row.payloadSha256,
    targets: parts.targets.map((target) => target.document.toString('base64url')),
    myKeyIds: around.viewerKeys.filter((key) => key.kind === 'webauthn').map((key) => key.keyId),
    rpId: parts.rpId,
    refusal:
      row.refusedBy === null || row.refusedAt === null
        ? null
        : {
            personName: around.names.get(row.refusedBy) ?? '—',
            at: toInstant(row.refusedAt),
            reason: row.refusalReason ?? '',
          },
  };
}
