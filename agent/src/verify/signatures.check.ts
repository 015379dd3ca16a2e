import type { EnvelopeSignature } from '#contract/dsse.ts';
import type { ApproverKey, PolicyDocument, ReleaseDocument } from '#contract/trust.ts';
import { decodeBase64Url, sha256 } from '../trust/bytes.ts';
import { pae, readPublicKey, verifyEd25519 } from '../trust/dsse.ts';
import { refuseAssertion } from '../trust/webauthn.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';

/** Outcome of the cryptographic check of one signature: the key that made it, or why there is none. */
export type SignatureOutcome = { readonly key: ApproverKey } | { readonly refusal: Refusal };

/** What a signature covers, and the document that says whose signatures count. */
interface SignedBytes {
  readonly signed: Buffer;
  readonly policy: PolicyDocument;
}

function refuseSignature(signature: EnvelopeSignature, spki: string, by: SignedBytes): string | null {
  if (signature.kind === 'ed25519') {
    const publicKey = readPublicKey(spki, 'ed25519');
    const bytes = decodeBase64Url(signature.signature);
    if (publicKey === null || bytes === null) return 'key or signature is malformed';
    return verifyEd25519(publicKey, by.signed, bytes) ? null : 'signature does not fit';
  }
  const publicKey = readPublicKey(spki, 'p256');
  if (publicKey === null) return 'key is not P-256';
  const { origins, rpIds } = by.policy;
  return refuseAssertion(signature, { challenge: sha256(by.signed), origins, rpIds, publicKey });
}

/**
 * Finds whose key made a signature. `keyid` only says which key to try first; when it names none of the policy's
 * keys nobody known can have signed.
 */
function identifySigner(signature: EnvelopeSignature, by: SignedBytes): SignatureOutcome {
  const candidates = by.policy.approvers.filter(
    (key) => key.keyId === signature.keyid && key.kind === signature.kind,
  );
  if (candidates.length === 0)
    return { refusal: refuse('signer_unknown', 'the key is not in the pinned policy document') };
  const faults = candidates.map((key) => refuseSignature(signature, key.publicKey, by));
  const fitting = candidates[faults.indexOf(null)];
  if (fitting !== undefined) return { key: fitting };
  return {
    refusal: refuse('bad_signature', faults.find((fault) => fault !== null) ?? 'signature does not fit'),
  };
}

/** Verifies each signature over the bytes as they came, before anybody parses them. */
export function verifySignatures(
  envelope: { payloadType: string; signatures: readonly EnvelopeSignature[] },
  payload: Uint8Array,
  policy: PolicyDocument,
): SignatureOutcome[] {
  const signed = pae(envelope.payloadType, payload);
  return envelope.signatures.map((signature) => identifySigner(signature, { signed, policy }));
}

/** Every signature must hold, of a person entitled to the class who did not ask for the release himself. */
export function checkSigners(
  outcomes: readonly SignatureOutcome[],
  release: ReleaseDocument,
): Refusal | null {
  for (const outcome of outcomes) {
    if ('refusal' in outcome) return outcome.refusal;
    const { key } = outcome;
    if (!key.classes.includes(release.class))
      return refuse(
        'signer_not_entitled',
        `key ${key.keyId.slice(0, 16)} does not cover class ${release.class}`,
      );
    if (key.personId === release.requester)
      return refuse('signer_is_requester', 'the requester cannot release what he asked for');
  }
  return null;
}

/** Counts people, never keys: one person with two keys stays one person. */
export function checkThreshold(
  outcomes: readonly SignatureOutcome[],
  release: ReleaseDocument,
  policy: PolicyDocument,
): Refusal | null {
  const persons = new Set(outcomes.flatMap((outcome) => ('key' in outcome ? [outcome.key.personId] : [])));
  const wanted = release.class === 'R0' ? 0 : policy.thresholds[release.class];
  if (persons.size >= wanted) return null;
  return refuse('threshold_not_met', `${persons.size} of ${wanted} people signed for class ${release.class}`);
}
