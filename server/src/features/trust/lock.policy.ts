import { Value } from 'typebox/value';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { LockDocument } from '#contract/trust.ts';
import { AppError } from '../../platform/errors.ts';
import { openPayload } from './dsse.ts';

/** People needed to stop, and to go on again: stopping must be easy. Agents count by themselves. */
export const peopleNeeded = { locked: 1, open: 2 } as const;
/** An opening that found no second signature in this time may be replaced by another one. */
export const openingLifeMs = 15 * 60_000;

/** The stop in force, or its end. */
export interface CurrentLock {
  readonly serial: number;
  readonly document: LockDocument;
  readonly envelope: Envelope;
}

/** Composes the next lock document. Throws `transition_refused` when there is nothing to stop or to open. */
export function composeLock(
  current: CurrentLock | null,
  wish: {
    readonly tenantId: string;
    readonly state: 'locked' | 'open';
    readonly runId: string | null;
    readonly by: string;
    readonly reason: string;
    readonly issuedAt: string;
    /** An opening waits for its second signature: stopping again makes it worthless. */
    readonly openingWaits: boolean;
  },
): LockDocument {
  const isLocked = current?.document.state === 'locked';
  if (wish.state === 'open' && !isLocked) {
    throw new AppError('transition_refused', { detail: 'nothing is stopped' });
  }
  const asked =
    wish.runId === null ? ({ kind: 'tenant' } as const) : ({ kind: 'run', runId: wish.runId } as const);
  const isWhole = isLocked && current.document.scope.kind === 'tenant';
  if (wish.state === 'locked' && isWhole && !wish.openingWaits) {
    throw new AppError('transition_refused', { detail: 'the tenant is stopped already' });
  }
  return {
    v: 1,
    tenant: wish.tenantId,
    serial: (current?.serial ?? 0) + 1,
    state: wish.state,
    // An opening ends what is stopped, whatever the caller named.
    scope: wish.state === 'open' && current !== null ? current.document.scope : asked,
    issuedAt: wish.issuedAt,
    by: wish.by,
    reason: wish.reason,
  };
}

/** Opens the envelope of a lock document that shall follow `current`. Throws `signature_refused` or `conflict`. */
export function openLockEnvelope(
  envelope: Envelope,
  expected: { readonly tenantId: string; readonly state: 'locked' | 'open' },
  current: CurrentLock | null,
): { readonly document: LockDocument; readonly payload: Buffer } {
  const { payload, document } = openPayload(envelope, payloadTypes.lock);
  if (!Value.Check(LockDocument, document)) {
    throw new AppError('signature_refused', { detail: 'the payload is not a lock document' });
  }
  if (document.tenant !== expected.tenantId || document.state !== expected.state) {
    throw new AppError('signature_refused', {
      detail: 'the document is of another tenant or says something else',
    });
  }
  const serial = (current?.serial ?? 0) + 1;
  if (document.serial !== serial) {
    throw new AppError('conflict', { detail: `the next lock document has serial ${serial}: draft it again` });
  }
  return { document, payload };
}
