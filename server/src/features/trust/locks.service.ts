import type { ServerFrame } from '#contract/agent-link.ts';
import { payloadTypes, type Envelope, type EnvelopeSignature } from '#contract/dsse.ts';
import type { LockState } from '#contract/releases.ts';
import { toInstant } from '../../platform/clock.ts';
import { isUniqueViolation, type TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { actorOf, type Actor } from '../../platform/http/caller.ts';
import { sha256Hex, toCanonical } from './dsse.ts';
import { composeLock, openingLifeMs, openLockEnvelope, peopleNeeded } from './lock.policy.ts';
import { verifySignature } from './signatures.ts';
import type { TrustDeps, TrustListeners } from './trust.deps.ts';
import * as repository from './trust.repository.ts';

/** Agents ask every few seconds; what they are told is at most this old. */
const frameLifeMs = 1_000;

interface LockDraft {
  readonly payloadType: string;
  readonly payload: string;
  readonly sha256: string;
  readonly rpId: string;
  readonly myKeyIds: string[];
}

/** Keeps the emergency stop: one approver stops, two different ones open again. */
export class LocksService {
  readonly #deps: TrustDeps;
  readonly #listeners: () => TrustListeners;
  readonly #frames = new Map<string, { readonly untilMs: number; readonly frame: Promise<ServerFrame> }>();

  constructor(deps: TrustDeps, listeners: () => TrustListeners) {
    this.#deps = deps;
    this.#listeners = listeners;
  }

  async state(tenantId: string): Promise<LockState> {
    return this.#deps.db.inTenant(tenantId, (tx) => this.#stateIn(tx));
  }

  /** What an agent is told about the lock now. One read serves every agent of a tenant for a second. */
  frame(tenantId: string): Promise<ServerFrame> {
    const nowMs = this.#deps.clock.now();
    const known = this.#frames.get(tenantId);
    if (known !== undefined && nowMs < known.untilMs) return known.frame;
    const frame = this.#deps.db.inTenant(tenantId, async (tx): Promise<ServerFrame> => {
      const lock = await repository.currentLock(tx);
      return { type: 'lock', at: toInstant(nowMs), envelope: lock?.envelope ?? null };
    });
    this.#frames.set(tenantId, { untilMs: nowMs + frameLifeMs, frame });
    // A failure is not remembered.
    frame.catch(() => this.#frames.delete(tenantId));
    return frame;
  }

  /** The document to sign. An opening that waits for its second signature is the one to sign. Errors: transition_refused. */
  async draft(
    tenantId: string,
    actor: Actor,
    wish: { readonly state: 'locked' | 'open'; readonly runId: string | null; readonly reason: string },
  ): Promise<LockDraft> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const current = await repository.currentLock(tx);
      const issuedAt = toInstant(this.#deps.clock.now());
      const opening = await repository.findOpening(tx);
      const openingWaits = opening !== null && this.#isAlive(opening, (current?.serial ?? 0) + 1);
      const document = composeLock(current, { tenantId, by: actor.id, issuedAt, openingWaits, ...wish });
      const payload = wish.state === 'open' && openingWaits ? opening.payload : toCanonical(document);
      const policy = await repository.currentPolicy(tx);
      const mine = policy?.document.approvers.filter((key) => key.personId === actor.id) ?? [];
      return {
        payloadType: payloadTypes.lock,
        payload: payload.toString('base64url'),
        sha256: sha256Hex(payload),
        rpId: new URL(this.#deps.publicUrl).hostname,
        myKeyIds: mine.map(({ keyId }) => keyId),
      };
    });
  }

  /** Stops. Errors: signature_refused, conflict. */
  async close(tenantId: string, actor: Actor, envelope: Envelope): Promise<LockState> {
    const { document, payload, people } = await this.#open(tenantId, envelope, 'locked');
    const state = await this.#deps.db.inTenant(tenantId, async (tx) => {
      await this.#insert(tx, { document, payload, sha256: sha256Hex(payload), envelope });
      // An opening was signed for the stop before this one.
      await repository.replaceOpening(tx, null);
      await this.#record(tx, actor, {
        action: 'lock.closed',
        digest: sha256Hex(payload),
        details: {
          serial: document.serial,
          scope: document.scope,
          signedBy: people,
          reason: document.reason,
        },
      });
      return this.#stateIn(tx);
    });
    this.#announce(tenantId);
    return state;
  }

  /** Adds a signature to an opening; the second person's ends the stop. Errors: signature_refused, conflict, transition_refused. */
  async open(tenantId: string, actor: Actor, envelope: Envelope): Promise<LockState> {
    const { document, payload, people, locked } = await this.#open(tenantId, envelope, 'open');
    if (!locked) throw new AppError('transition_refused', { detail: 'nothing is stopped' });
    const { state, isOpen } = await this.#deps.db.inTenant(tenantId, async (tx) => {
      const waiting = await repository.findOpening(tx);
      const same = waiting?.payload.equals(payload) === true;
      if (waiting !== null && !same && this.#isAlive(waiting, document.serial)) {
        throw new AppError('conflict', { detail: 'another opening waits for its second signature' });
      }
      const signedBy = [...new Set([...(same ? waiting.signedBy : []), ...people])];
      const signatures = mergeSignatures(same ? waiting.signatures : [], envelope.signatures);
      const enough = signedBy.length >= peopleNeeded.open;
      const whole: Envelope = { ...envelope, signatures };
      if (enough) await this.#insert(tx, { document, payload, sha256: sha256Hex(payload), envelope: whole });
      const { serial } = document;
      await repository.replaceOpening(tx, enough ? null : { serial, payload, signatures, signedBy });
      await this.#record(tx, actor, {
        action: 'lock.opened',
        digest: sha256Hex(payload),
        details: { serial, signedBy, complete: enough, reason: document.reason },
      });
      return { state: await this.#stateIn(tx), isOpen: enough };
    });
    if (isOpen) this.#announce(tenantId);
    return state;
  }

  #isAlive(opening: repository.Opening, serial: number): boolean {
    return opening.serial === serial && this.#deps.clock.now() - opening.createdAt.getTime() < openingLifeMs;
  }

  /** Reads an envelope and verifies each of its signatures, outside of any transaction. */
  async #open(tenantId: string, envelope: Envelope, state: 'locked' | 'open') {
    const { current, policy } = await this.#deps.db.inTenant(tenantId, async (tx) => ({
      current: await repository.currentLock(tx),
      policy: await repository.currentPolicy(tx),
    }));
    const opened = openLockEnvelope(envelope, { tenantId, state }, current);
    if (policy === null)
      throw new AppError('signature_refused', { detail: 'no policy document is published' });
    const people = new Set<string>();
    for (const signature of envelope.signatures) {
      const { payload } = opened;
      const { payloadType } = envelope;
      const verdict = await verifySignature({ document: policy.document, payloadType, payload, signature });
      if (!verdict.ok) throw new AppError('signature_refused', { detail: verdict.code });
      people.add(verdict.key.personId);
    }
    if (people.size === 0) throw new AppError('signature_refused', { detail: 'nobody has signed' });
    return { ...opened, people: [...people], locked: current?.document.state === 'locked' };
  }

  async #insert(tx: TenantTx, lock: Parameters<typeof repository.insertLock>[1]): Promise<void> {
    await repository.insertLock(tx, lock).catch((error: unknown) => {
      throw isUniqueViolation(error) ? new AppError('conflict', { cause: error }) : error;
    });
    const { serial, state } = lock.document;
    await this.#deps.emit(tx, { type: 'lock.changed', subjectId: null, data: { serial, state } });
  }

  /** The lock was changed on another node: what is remembered of it here is old. */
  forget(tenantId: string): void {
    this.#frames.delete(tenantId);
  }

  #announce(tenantId: string): void {
    this.forget(tenantId);
    this.#listeners().lockChanged(tenantId);
  }

  async #stateIn(tx: TenantTx): Promise<LockState> {
    const lock = await repository.currentLock(tx);
    const opening = await repository.findOpening(tx);
    const isLocked = lock?.document.state === 'locked';
    return {
      serial: lock?.serial ?? 0,
      locked: isLocked,
      scope: isLocked ? lock.document.scope : null,
      since: isLocked ? lock.document.issuedAt : null,
      byName: isLocked ? await repository.personName(tx, lock.document.by) : null,
      reason: isLocked ? lock.document.reason : null,
      opening:
        opening === null
          ? null
          : {
              payload: opening.payload.toString('base64url'),
              signedBy: opening.signedBy,
              needed: peopleNeeded.open,
            },
    };
  }

  async #record(
    tx: TenantTx,
    actor: Actor,
    entry: {
      readonly action: 'lock.closed' | 'lock.opened';
      readonly digest: string;
      readonly details: Record<string, unknown>;
    },
  ): Promise<void> {
    await this.#deps.audit.record(tx, {
      action: entry.action,
      ...actorOf(actor),
      subjectType: 'lock',
      subjectId: null,
      outcome: 'ok',
      digest: entry.digest,
      details: entry.details,
    });
  }
}

/** One signature a key: the same one sent twice stays one. */
function mergeSignatures(
  before: readonly EnvelopeSignature[],
  added: readonly EnvelopeSignature[],
): EnvelopeSignature[] {
  const kept = before.filter(({ keyid }) => !added.some((signature) => signature.keyid === keyid));
  return [...kept, ...added];
}
