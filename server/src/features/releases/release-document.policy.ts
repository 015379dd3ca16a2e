import type { ReleaseDocument, TargetDocument } from '#contract/trust.ts';
import type { PlanDocument } from '../plans/plans.module.ts';

/** What the requester adds to a plan when asking for its release. */
export interface ReleaseRequest {
  readonly id: string;
  readonly runId: string;
  readonly requester: string;
  readonly reason: string;
  readonly ticket: string | null;
  readonly policyEpoch: number;
  readonly logOrigin: string;
  readonly planSha256: string;
}

/** The documents of all targets, in the order of the plan: the leaves of the tree that people sign. */
export function targetDocuments(plan: PlanDocument, releaseId: string): TargetDocument[] {
  return [...plan.targets]
    .sort((a, b) => a.order - b.order)
    .map((target) => ({
      v: 1,
      release: releaseId,
      host: target.host,
      hostname: target.hostname,
      agent: target.agent,
      wave: target.wave,
      orders: [...target.orders],
    }));
}

/** The payload of the command envelope: one document releases a whole run. */
export function releaseDocument(
  plan: PlanDocument,
  request: ReleaseRequest,
  tree: { readonly rootSha256: string; readonly count: number },
): ReleaseDocument {
  return {
    v: 1,
    id: request.id,
    tenant: plan.tenant,
    policyEpoch: request.policyEpoch,
    class: 'R2',
    planId: plan.id,
    planSha256: request.planSha256,
    runId: request.runId,
    targetsRoot: tree.rootSha256,
    targetsCount: tree.count,
    notBefore: plan.notBefore,
    notAfter: plan.notAfter,
    requester: request.requester,
    reason: request.reason,
    ticket: request.ticket,
    logOrigin: request.logOrigin,
  };
}

/** What the caller can do about a release, and otherwise why not. */
export type MySignature = 'possible' | 'done' | 'requester' | 'no_key' | 'not_entitled' | 'closed';

interface SigningView {
  readonly state: 'awaiting_signatures' | 'approved' | 'refused' | 'expired';
  readonly requesterId: string;
  readonly signers: readonly string[];
  readonly class: 'R1' | 'R2' | 'R3';
}

interface Caller {
  readonly personId: string;
  readonly maySign: boolean;
  /** Classes of the caller's keys in the current policy document, one list a key. */
  readonly keyClasses: readonly (readonly string[])[];
}

/** One rule for the server's refusal and the button's reason. */
export function mySignature(release: SigningView, caller: Caller): MySignature {
  if (release.signers.includes(caller.personId)) return 'done';
  if (release.state !== 'awaiting_signatures') return 'closed';
  if (release.requesterId === caller.personId) return 'requester';
  if (!caller.maySign) return 'not_entitled';
  if (caller.keyClasses.length === 0) return 'no_key';
  return caller.keyClasses.some((classes) => classes.includes(release.class)) ? 'possible' : 'not_entitled';
}

/** A release that nobody completed before its window ended is expired, whatever the row still says. */
export function stateAt(
  row: { readonly state: SigningView['state']; readonly notAfter: number },
  now: number,
): SigningView['state'] {
  return row.state === 'awaiting_signatures' && now >= row.notAfter ? 'expired' : row.state;
}
