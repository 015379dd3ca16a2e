import { Value } from 'typebox/value';
import { payloadTypes } from '#contract/dsse.ts';
import type { Envelope } from '#contract/dsse.ts';
import { ReleaseBundle, ReleaseDocument } from '#contract/trust.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { decodeBase64Url } from '../trust/bytes.ts';
import { MalformedJson, parseStrictJson } from '../trust/strictJson.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { verifySignatures } from './signatures.check.ts';
import type { SignatureOutcome } from './signatures.check.ts';

/** Largest signed payload, bytes: a release names thousands of hosts by one root hash, so it stays small. */
export const maxPayloadBytes = 65_536;
const maxTargetBytes = 3_000_000;
const maxSignatures = 32;

function base64Length(bytes: number): number {
  return Math.ceil((bytes * 4) / 3);
}

/** Length checks come first and look at nothing else, so that no parser meets an endless document. */
export function checkSize(bundle: { envelope: Envelope; target: string }): Refusal | null {
  if (bundle.envelope.payload.length > base64Length(maxPayloadBytes)) return refuse('too_large', 'payload');
  if (bundle.target.length > base64Length(maxTargetBytes)) return refuse('too_large', 'target document');
  return bundle.envelope.signatures.length > maxSignatures ? refuse('too_large', 'signatures') : null;
}

export function checkPayloadType(envelope: Envelope): Refusal | null {
  if (envelope.payloadType === payloadTypes.command) return null;
  return refuse('wrong_payload_type', 'the envelope does not hold a release');
}

/** A release whose bytes were verified, with the outcome of each signature. */
export interface OpenedRelease {
  readonly payload: Buffer;
  readonly release: ReleaseDocument;
  readonly signers: readonly SignatureOutcome[];
}

/** Parses bytes against a schema; null when they are anything but that. */
export function parseDocument(bytes: Uint8Array): { value: unknown } | { fault: string } {
  try {
    return { value: parseStrictJson(bytes) };
  } catch (error) {
    if (error instanceof MalformedJson) return { fault: error.message };
    throw error;
  }
}

/**
 * Signatures are verified over the raw bytes, then the same bytes are parsed. What was parsed serves only to name
 * a refusal until every outcome in `signers` has been looked at.
 */
export function openRelease(bundle: unknown, policy: PolicyDocument): OpenedRelease | Refusal {
  if (!Value.Check(ReleaseBundle, bundle)) return refuse('malformed', 'the bundle does not fit its schema');
  const payload = decodeBase64Url(bundle.envelope.payload);
  if (payload === null) return refuse('malformed', 'payload is not canonical base64url');
  const signers = verifySignatures(bundle.envelope, payload, policy);
  const parsed = parseDocument(payload);
  if ('fault' in parsed) return refuse('malformed', `payload: ${parsed.fault}`);
  if (!Value.Check(ReleaseDocument, parsed.value))
    return refuse('malformed', 'payload is not a release document');
  const release = parsed.value;
  if (Date.parse(release.notBefore) >= Date.parse(release.notAfter))
    return refuse('malformed', 'window ends before it begins');
  return { payload, release, signers };
}

export function checkEpoch(release: ReleaseDocument, policy: PolicyDocument): Refusal | null {
  if (release.policyEpoch === policy.epoch) return null;
  return refuse(
    'wrong_epoch',
    `release is for policy epoch ${release.policyEpoch}, pinned is ${policy.epoch}`,
  );
}

export function checkTenant(release: ReleaseDocument, tenantId: string): Refusal | null {
  return release.tenant === tenantId ? null : refuse('wrong_tenant', 'release is of another tenant');
}
