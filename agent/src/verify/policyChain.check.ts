import { Value } from 'typebox/value';
import { Envelope, payloadTypes } from '#contract/dsse.ts';
import { PolicyDocument } from '#contract/trust.ts';
import { decodeBase64Url, sha256Hex } from '../trust/bytes.ts';
import { pae, readPublicKey, verifyEd25519 } from '../trust/dsse.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { parseDocument } from './release.check.ts';

interface OpenedPolicy {
  readonly policy: PolicyDocument;
  readonly payload: Buffer;
  readonly envelope: Envelope;
}

function countRootSignatures(
  opened: Pick<OpenedPolicy, 'payload' | 'envelope'>,
  signedBy: PolicyDocument,
): number {
  const message = pae(opened.envelope.payloadType, opened.payload);
  const keys = [...new Set(signedBy.rootKeys.map((root) => root.publicKey))];
  const holds = (publicKey: string) =>
    opened.envelope.signatures.some((signature) => {
      const key = readPublicKey(publicKey, 'ed25519');
      const bytes = decodeBase64Url(signature.signature);
      return (
        signature.kind === 'ed25519' && key !== null && bytes !== null && verifyEd25519(key, message, bytes)
      );
    });
  return keys.filter(holds).length;
}

/** True when enough different root keys of `signedBy` signed the envelope. */
export function isRootSigned(
  opened: Pick<OpenedPolicy, 'payload' | 'envelope'>,
  signedBy: PolicyDocument,
): boolean {
  return countRootSignatures(opened, signedBy) >= signedBy.rootThreshold;
}

function openPolicy(envelope: unknown): OpenedPolicy | Refusal {
  if (!Value.Check(Envelope, envelope)) return refuse('malformed', 'policy envelope does not fit its schema');
  if (envelope.payloadType !== payloadTypes.policy)
    return refuse('wrong_payload_type', 'not a policy document');
  const payload = decodeBase64Url(envelope.payload);
  if (payload === null) return refuse('malformed', 'payload is not canonical base64url');
  const parsed = parseDocument(payload);
  if ('fault' in parsed) return refuse('malformed', `policy: ${parsed.fault}`);
  if (!Value.Check(PolicyDocument, parsed.value))
    return refuse('malformed', 'payload is not a policy document');
  return { policy: parsed.value, payload, envelope };
}

/** Accepts the first document of a chain by the digest that the administrator's token carries. */
export function acceptFirstPolicy(
  envelope: unknown,
  pin: { tenantId: string; policySha256: string },
): PolicyDocument | Refusal {
  const opened = openPolicy(envelope);
  if ('code' in opened) return opened;
  if (sha256Hex(opened.payload) !== pin.policySha256)
    return refuse('bad_signature', 'policy is not the one in the token');
  if (opened.policy.tenant !== pin.tenantId) return refuse('wrong_tenant', 'policy is of another tenant');
  if (opened.policy.epoch !== 1) return refuse('wrong_epoch', 'the chain does not begin at epoch 1');
  return isRootSigned(opened, opened.policy)
    ? opened.policy
    : refuse('threshold_not_met', 'root keys did not sign epoch 1');
}

/**
 * Accepts only the next epoch, signed by the current document's root keys and by its own (the root rule of TUF):
 * nobody can jump over a document that the customer has withdrawn keys with.
 */
export function acceptNextPolicy(envelope: unknown, current: PolicyDocument): PolicyDocument | Refusal {
  const opened = openPolicy(envelope);
  if ('code' in opened) return opened;
  const next = opened.policy;
  if (next.epoch !== current.epoch + 1)
    return refuse('wrong_epoch', `epoch ${next.epoch} does not follow ${current.epoch}`);
  if (next.tenant !== current.tenant) return refuse('wrong_tenant', 'policy is of another tenant');
  if (!isRootSigned(opened, current))
    return refuse('threshold_not_met', 'the current root keys did not sign');
  return isRootSigned(opened, next) ? next : refuse('threshold_not_met', 'the new root keys did not sign');
}

/** Verifies a whole chain from epoch 1. */
export function acceptPolicyChain(
  envelopes: readonly unknown[],
  pin: { tenantId: string; policySha256: string },
): PolicyDocument | Refusal {
  let current = acceptFirstPolicy(envelopes[0], pin);
  for (const envelope of envelopes.slice(1)) {
    if ('code' in current) return current;
    current = acceptNextPolicy(envelope, current);
  }
  return current;
}
