import type { Order, PolicyDocument, ReleaseDocument } from '#contract/trust.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';

/** Limits that hold whatever was signed. A rollback's restart is never refused: it is the way back. */
export function checkCaps(
  subject: { order: Order; release: ReleaseDocument },
  policy: PolicyDocument,
  restartsLast24h: number,
): Refusal | null {
  const { caps } = policy;
  if (subject.release.targetsCount > caps.targetsPerRelease)
    return refuse(
      'cap_exceeded',
      `${subject.release.targetsCount} targets, the cap is ${caps.targetsPerRelease}`,
    );
  if (subject.order.verb === 'host.restart' && restartsLast24h >= caps.restartsPer24h)
    return refuse('cap_exceeded', `${restartsLast24h} restarts in 24 h, the cap is ${caps.restartsPer24h}`);
  return null;
}
