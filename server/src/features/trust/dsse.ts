import { createPublicKey, hash, verify, type KeyObject } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Envelope } from '#contract/dsse.ts';
import { AppError, invariant } from '../../platform/errors.ts';

/** Pre-authentication encoding of DSSE v1.0.2: what every signature covers. */
export function preAuthentication(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** Bytes of a document as they are signed: JCS (RFC 8785). */
export function toCanonical(document: unknown): Buffer {
  const text = canonicalize(document);
  invariant(text !== undefined, 'a document has no canonical form');
  return Buffer.from(text);
}

export function sha256Hex(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}

/**
 * Payload bytes of an envelope and what they say. The server takes only the one canonical form (no second spelling of the
 * same bytes, no repeated member), so that what it understood is what everybody understands. Throws `signature_refused`.
 */
export function openPayload(envelope: Envelope, payloadType: string): { payload: Buffer; document: unknown } {
  const refuse = (detail: string, cause?: unknown): AppError =>
    new AppError('signature_refused', { detail, ...(cause === undefined ? {} : { cause }) });
  if (envelope.payloadType !== payloadType) throw refuse(`the envelope is not of type ${payloadType}`);
  const payload = Buffer.from(envelope.payload, 'base64url');
  if (payload.toString('base64url') !== envelope.payload)
    throw refuse('the payload is no canonical base64url');
  let document: unknown;
  try {
    document = JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw refuse('the payload is not JSON', error);
  }
  if (!toCanonical(document).equals(payload)) throw refuse('the payload is not in canonical form (RFC 8785)');
  return { payload, document };
}

/** An Ed25519 key from SubjectPublicKeyInfo, or null when it is none. */
export function readEd25519(spki: Uint8Array): KeyObject | null {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' ? key : null;
  } catch {
    // Not DER, or of no known kind.
    return null;
  }
}

/** True when `signature` is the Ed25519 signature of that key over exactly these bytes. */
export function isEd25519Signature(spki: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = readEd25519(spki);
  return key !== null && signature.length === 64 && verify(null, message, key, signature);
}
