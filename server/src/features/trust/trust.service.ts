import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import type { TrustState } from '#contract/releases.ts';
import type { ApproverKey, PolicyDocument } from '#contract/trust.ts';
import { digestWords } from '#contract/words.ts';
import { toInstant } from '../../platform/clock.ts';
import { isUniqueViolation, type TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { createGather } from '../../platform/gather.ts';
import { actorOf, type Actor } from '../../platform/http/caller.ts';
import { sha256Hex, toCanonical } from './dsse.ts';
import type { CurrentLock } from './lock.policy.ts';
import { verifySignature, type SignatureInput, type SignatureVerdict } from './signatures.ts';
import type { TrustDeps, TrustListeners } from './trust.deps.ts';
import {
  composePolicy,
  openNextPolicy,
  openRootSigned,
  verbCatalogueSha256,
  type SignedPolicy,
} from './trust.policy.ts';
import * as repository from './trust.repository.ts';

export interface DraftWish {
  readonly removeKeyIds: readonly string[];
  readonly rootKeys?: PolicyDocument['rootKeys'];
  readonly rootThreshold?: number;
}

/** A document to sign: its bytes, their digest, and the words of the digest. */
export interface Draft {
  readonly payloadType: string;
  readonly payload: string;
  readonly sha256: string;
  readonly words: string[];
}

/** Keeps the customer's policy documents and answers whose signature counts. */
export class TrustService {
  readonly #deps: TrustDeps;
  readonly #listeners: () => TrustListeners;
  readonly #newer: (asked: { readonly tenantId: string; readonly afterEpoch: number }) => Promise<Envelope[]>;

  constructor(deps: TrustDeps, listeners: () => TrustListeners) {
    this.#deps = deps;
    this.#listeners = listeners;
    this.#newer = createGather({
      clock: deps.clock,
      answer: (asked) => deps.db.inSystem('trust.readNewer', (tx) => repository.newerPolicies(tx, asked)),
    });
  }

  /** The policy document in force, or null before the first one. */
  current(tx: TenantTx): Promise<(SignedPolicy & { readonly epoch: number }) | null> {
    return repository.currentPolicy(tx);
  }

  /** Every policy document after `afterEpoch`, oldest first. */
  chain(tx: TenantTx, afterEpoch = 0): Promise<Envelope[]> {
    return repository.policyChain(tx, afterEpoch);
  }

  /** The policy documents of a tenant after an epoch, oldest first, for an agent that comes back. Agents that come together share the look. */
  chainAfter(tenantId: string, afterEpoch: number): Promise<Envelope[]> {
    return this.#newer({ tenantId, afterEpoch });
  }

  /** Keys of a person in the document in force. */
  async keysOfPerson(tx: TenantTx, personId: string): Promise<ApproverKey[]> {
    const policy = await this.current(tx);
    return policy?.document.approvers.filter((key) => key.personId === personId) ?? [];
  }

  /** Whose signature it is. Costs a signature check: not for use inside a transaction. */
  verifySignature(input: SignatureInput): Promise<SignatureVerdict> {
    return verifySignature(input);
  }

  /** What a document says that enough root keys of `by` have signed, and its digest. Throws `signature_refused`. */
  openRootSigned(envelope: Envelope, payloadType: string, by: PolicyDocument) {
    return openRootSigned(envelope, payloadType, by);
  }

  currentLock(tx: TenantTx): Promise<CurrentLock | null> {
    return repository.currentLock(tx);
  }

  digestWords(sha256: string): string[] {
    return digestWords(sha256);
  }

  verbCatalogueSha256(): string {
    return verbCatalogueSha256();
  }

  async state(tenantId: string): Promise<TrustState> {
    return this.#deps.db.inTenant(tenantId, (tx) => this.#stateIn(tx));
  }

  /** Composes the next document from what is enrolled now. Errors: policy_refused. */
  async draft(tenantId: string, actor: Actor, wish: DraftWish): Promise<Draft> {
    const auditLog = await this.#deps.auditLog(tenantId);
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const current = await this.current(tx);
      const removed = new Set(wish.removeKeyIds);
      const classes = new Map(current?.document.approvers.map((key) => [key.keyId, key.classes]));
      const approvers = (await repository.listKeys(tx))
        .filter((enrolled) => !enrolled.removed && enrolled.isApprover && !removed.has(enrolled.key.keyId))
        .map(({ key }) => ({ ...key, classes: classes.get(key.keyId) ?? key.classes }));
      const document = composePolicy({
        tenantId,
        current: current?.document ?? null,
        approvers,
        rootKeys: wish.rootKeys,
        rootThreshold: wish.rootThreshold,
        auditLog,
        publicUrl: this.#deps.publicUrl,
        issuedAt: toInstant(this.#deps.clock.now()),
      });
      const payload = toCanonical(document);
      const sha256 = sha256Hex(payload);
      await this.#record(tx, actor, {
        action: 'policy_document.drafted',
        digest: sha256,
        details: { epoch: document.epoch, approverKeys: approvers.length },
      });
      const { policy: payloadType } = payloadTypes;
      return { payloadType, payload: payload.toString('base64url'), sha256, words: digestWords(sha256) };
    });
  }

  /** Publishes a signed document and tells the agents. Errors: signature_refused, conflict. */
  async publish(tenantId: string, actor: Actor, envelope: Envelope): Promise<TrustState> {
    const { db } = this.#deps;
    const current = (await db.inTenant(tenantId, (tx) => this.current(tx)))?.document ?? null;
    const signed = openNextPolicy(envelope, tenantId, current);
    const state = await db.inTenant(tenantId, async (tx) => {
      // The key (tenant, epoch) refuses a second document that was verified against the same predecessor.
      await repository
        .insertPolicy(tx, signed, { envelope, publishedBy: actor.id })
        .catch((error: unknown) => {
          throw isUniqueViolation(error) ? new AppError('conflict', { cause: error }) : error;
        });
      const named = new Set(signed.document.approvers.map(({ keyId }) => keyId));
      const dropped = (current?.approvers ?? []).map(({ keyId }) => keyId).filter((id) => !named.has(id));
      await repository.removeKeys(tx, dropped);
      await this.#record(tx, actor, {
        action: 'policy_document.published',
        digest: signed.sha256,
        details: { epoch: signed.document.epoch, approverKeys: named.size, removedKeys: dropped.length },
      });
      const data = { epoch: signed.document.epoch };
      await this.#deps.emit(tx, { type: 'trust.changed', subjectId: null, data });
      return this.#stateIn(tx);
    });
    this.#listeners().policyPublished(tenantId);
    return state;
  }

  async #stateIn(tx: TenantTx): Promise<TrustState> {
    const current = await this.current(tx);
    const epoch = current?.epoch ?? 0;
    const active = new Map(current?.document.approvers.map((key) => [key.keyId, key]));
    const agents = await repository.countAgentsAt(tx, epoch);
    const keys = (await repository.listKeys(tx)).map(({ key, removed }): repository.KeySummary => {
      const named = active.get(key.keyId);
      if (named !== undefined) return { key: named, state: 'active', sinceEpoch: epoch };
      return { key, state: removed ? 'removed' : 'pending', sinceEpoch: null };
    });
    return {
      epoch,
      document: current?.document ?? null,
      documentSha256: current?.sha256 ?? null,
      words: current === null ? [] : digestWords(current.sha256),
      keys,
      agentsCurrent: epoch === 0 ? 0 : agents.current,
      agentsTotal: agents.total,
    };
  }

  async #record(
    tx: TenantTx,
    actor: Actor,
    entry: {
      readonly action: 'policy_document.drafted' | 'policy_document.published';
      readonly digest: string;
      readonly details: Record<string, unknown>;
    },
  ): Promise<void> {
    await this.#deps.audit.record(tx, {
      action: entry.action,
      ...actorOf(actor),
      subjectType: 'policy_document',
      subjectId: null,
      outcome: 'ok',
      digest: entry.digest,
      details: entry.details,
    });
  }
}
