import { createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Envelope } from '#contract/dsse.ts';
import { decodeBase64Url } from './bytes.ts';

/** Pre-authentication encoding of DSSE v1.0.2: what every signature covers. */
export function pae(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} `),
    type,
    Buffer.from(` ${payload.length} `),
    payload,
  ]);
}

/** Reads a public key from SubjectPublicKeyInfo DER in base64url; null when it is not one of the kind wanted. */
export function readPublicKey(spki: string, kind: 'ed25519' | 'p256'): KeyObject | null {
  const der = decodeBase64Url(spki);
  if (der === null) return null;
  try {
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    const fits =
      kind === 'ed25519'
        ? key.asymmetricKeyType === 'ed25519'
        : key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
    return fits ? key : null;
  } catch {
    return null;
  }
}

/** True when the signature is the key's Ed25519 signature over exactly these bytes. */
export function verifyEd25519(key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === 64 && verify(null, message, key, signature);
}

/** Wraps bytes in an envelope signed by one Ed25519 key. */
export function signEnvelope(
  payloadType: string,
  payload: Uint8Array,
  key: { id: string; privateKey: KeyObject },
): Envelope {
  return {
    payloadType,
    payload: Buffer.from(payload).toString('base64url'),
    signatures: [
      {
        kind: 'ed25519',
        keyid: key.id,
        signature: sign(null, pae(payloadType, payload), key.privateKey).toString('base64url'),
      },
    ],
  };
}
