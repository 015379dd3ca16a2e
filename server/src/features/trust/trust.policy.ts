import { hash } from 'node:crypto';
import { Value } from 'typebox/value';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { PolicyDocument, type ApproverKey } from '#contract/trust.ts';
import { verbCatalogueText } from '#contract/verbs.ts';
import { AppError } from '../../platform/errors.ts';
import { isEd25519Signature, openPayload, preAuthentication, sha256Hex } from './dsse.ts';

/** A policy document as it was signed. */
export interface SignedPolicy {
  readonly document: PolicyDocument;
  readonly payload: Buffer;
  readonly sha256: string;
}

/** SHA-256 of the verb catalogue of this version, which a policy document pins. */
export function verbCatalogueSha256(): string {
  return hash('sha256', verbCatalogueText);
}

/** Different root keys of `by` that signed the envelope. `keyid` is not looked at: it is a hint, never a decision. */
function countRootSignatures(envelope: Envelope, payload: Buffer, by: PolicyDocument): number {
  const message = preAuthentication(envelope.payloadType, payload);
  const keys = new Set(by.rootKeys.map(({ publicKey }) => publicKey));
  return [...keys].filter((publicKey) =>
    envelope.signatures.some(
      (signature) =>
        signature.kind === 'ed25519' &&
        isEd25519Signature(
          Buffer.from(publicKey, 'base64url'),
          message,
          Buffer.from(signature.signature, 'base64url'),
        ),
    ),
  ).length;
}

/**
 * Opens a document that the root keys of the policy in force must have signed, of any type but the policy's own.
 * Throws `signature_refused`.
 */
export function openRootSigned(
  envelope: Envelope,
  payloadType: string,
  by: PolicyDocument,
): { readonly document: unknown; readonly sha256: string } {
  const { payload, document } = openPayload(envelope, payloadType);
  const count = countRootSignatures(envelope, payload, by);
  if (count < by.rootThreshold) {
    const detail = `${count} of ${by.rootThreshold} root keys of epoch ${by.epoch} have signed`;
    throw new AppError('signature_refused', { detail });
  }
  return { document, sha256: sha256Hex(payload) };
}

function refuseContent(document: PolicyDocument): string | null {
  const rootKeys = new Set(document.rootKeys.map(({ publicKey }) => publicKey));
  if (rootKeys.size !== document.rootKeys.length) return 'a root key is listed twice';
  if (document.rootThreshold > rootKeys.size)
    return 'more root signatures are demanded than there are root keys';
  const keyIds = new Set(document.approvers.map(({ keyId }) => keyId));
  if (keyIds.size !== document.approvers.length) return 'an approver’s key is listed twice';
  return null;
}

/**
 * Opens the document that shall follow `current` (null: the first one). It must be signed by enough root keys of the
 * current document and by enough of its own, as agents demand. Throws `signature_refused`, or `conflict` when another
 * document was published since it was drafted.
 */
export function openNextPolicy(
  envelope: Envelope,
  tenantId: string,
  current: PolicyDocument | null,
): SignedPolicy {
  const { payload, document } = openPayload(envelope, payloadTypes.policy);
  if (!Value.Check(PolicyDocument, document)) {
    throw new AppError('signature_refused', { detail: 'the payload is not a policy document' });
  }
  if (document.tenant !== tenantId) {
    throw new AppError('signature_refused', { detail: 'the document is of another tenant' });
  }
  const nextEpoch = (current?.epoch ?? 0) + 1;
  if (document.epoch !== nextEpoch) {
    throw new AppError('conflict', {
      detail: `the next document has epoch ${nextEpoch}, this one ${document.epoch}`,
    });
  }
  const fault = refuseContent(document);
  if (fault !== null) throw new AppError('signature_refused', { detail: fault });
  if (document.verbCatalogueSha256 !== verbCatalogueSha256()) {
    const detail = 'the document was drafted for another version of the verb catalogue: draft it again';
    throw new AppError('conflict', { detail });
  }
  for (const by of current === null ? [document] : [current, document]) {
    const count = countRootSignatures(envelope, payload, by);
    if (count < by.rootThreshold) {
      const detail = `${count} of ${by.rootThreshold} root keys of epoch ${by.epoch} have signed`;
      throw new AppError('signature_refused', { detail });
    }
  }
  return { document, payload, sha256: sha256Hex(payload) };
}

/** Where the draft of a document takes each of its members from. */
export interface DraftSources {
  readonly tenantId: string;
  readonly current: PolicyDocument | null;
  readonly approvers: readonly ApproverKey[];
  readonly rootKeys: PolicyDocument['rootKeys'] | undefined;
  readonly rootThreshold: number | undefined;
  readonly auditLog: PolicyDocument['auditLog'];
  readonly publicUrl: string;
  readonly issuedAt: string;
}

const defaults = {
  thresholds: { R1: 1, R2: 2, R3: 2 },
  caps: { targetsPerRelease: 1000, restartsPer24h: 3 },
  lockFreshnessS: 300,
};

/**
 * Composes the next document. What people decide once (thresholds, caps, freshness, root keys) is carried over; keys, log,
 * origin and catalogue are those of now. Throws `policy_refused` when it could never be signed.
 */
export function composePolicy(sources: DraftSources): PolicyDocument {
  const { current } = sources;
  const rootKeys = sources.rootKeys ?? current?.rootKeys;
  if (rootKeys === undefined) {
    throw new AppError('policy_refused', {
      detail: 'the first document names the root keys: make them with `./atlas policy init-root`',
    });
  }
  const rootThreshold = sources.rootThreshold ?? current?.rootThreshold ?? rootKeys.length;
  const { origin, hostname } = new URL(sources.publicUrl);
  const document: PolicyDocument = {
    v: 1,
    tenant: sources.tenantId,
    epoch: (current?.epoch ?? 0) + 1,
    issuedAt: sources.issuedAt,
    rootKeys: [...rootKeys],
    rootThreshold,
    approvers: [...sources.approvers],
    thresholds: current?.thresholds ?? defaults.thresholds,
    verbCatalogueSha256: verbCatalogueSha256(),
    origins: [origin],
    rpIds: [hostname],
    caps: current?.caps ?? defaults.caps,
    auditLog: sources.auditLog,
    lockFreshnessS: current?.lockFreshnessS ?? defaults.lockFreshnessS,
  };
  const fault = refuseContent(document);
  if (fault !== null) throw new AppError('policy_refused', { detail: fault });
  return document;
}
