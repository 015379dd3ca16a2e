import {
  exceptionActions,
  expiringSoonDays,
  maxExceptionDays,
  type ExceptionAction,
  type ExceptionBody,
  type ExceptionState,
} from '#contract/exceptions.ts';
import type { FieldError } from '../../platform/errors.ts';

const dayMs = 86_400_000;

/** What is stored of an exception that matters to its state. */
interface Terms {
  /** The newest decision; null before there was one. */
  readonly decision: 'approved' | 'refused' | 'revoked' | null;
  readonly expiresAtMs: number;
}

/** The state at an instant. A request that nobody decided on in time expires too. */
export function stateOf({ decision, expiresAtMs }: Terms, nowMs: number): ExceptionState {
  if (decision === 'refused' || decision === 'revoked') return decision;
  if (expiresAtMs <= nowMs) return 'expired';
  return decision ?? 'requested';
}

/** Approved, in force, and near its end. */
export function expiresSoon(terms: Terms, nowMs: number): boolean {
  return stateOf(terms, nowMs) === 'approved' && terms.expiresAtMs - nowMs <= expiringSoonDays * dayMs;
}

/** Why a request cannot be taken as it stands; empty when it can. */
export function judgeRequest(
  { expiresAt, place }: Pick<ExceptionBody, 'expiresAt' | 'place'>,
  nowMs: number,
): FieldError[] {
  const faults: FieldError[] = [];
  const aheadMs = Date.parse(expiresAt) - nowMs;
  if (aheadMs <= 0)
    faults.push({ path: '/body/expiresAt', rule: 'in_the_future', message: 'it would be over already' });
  if (aheadMs > maxExceptionDays * dayMs) {
    const message = `an exception ends within ${maxExceptionDays} days`;
    faults.push({ path: '/body/expiresAt', rule: 'at_most', message });
  }
  if ((place.kind === 'tenant') !== (place.id === null)) {
    const message = place.kind === 'tenant' ? 'everywhere names no place' : `name the ${place.kind}`;
    faults.push({ path: '/body/place/id', rule: 'of_kind', message });
  }
  return faults;
}

/** `four_eyes`: who asked cannot approve. `state`: it is too late, or too early, for this. */
export function refusalOf(
  action: ExceptionAction,
  asked: { readonly state: ExceptionState; readonly requestedBy: string; readonly actorId: string },
): 'four_eyes' | 'state' | null {
  const allowed: readonly ExceptionState[] = exceptionActions[action];
  if (!allowed.includes(asked.state)) return 'state';
  return action === 'approve' && asked.requestedBy === asked.actorId ? 'four_eyes' : null;
}
