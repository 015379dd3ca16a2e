import { concat, sha256 } from './bytes.ts';

/** DSSE v1.0.2 pre-authentication encoding: what every signature covers. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const utf8 = new TextEncoder();
  const type = utf8.encode(payloadType);
  return concat(utf8.encode(`DSSEv1 ${type.length} `), type, utf8.encode(` ${payload.length} `), payload);
}

/** Challenge of the passkey assertion: SHA-256 over the pre-authentication encoding. */
export function signingChallenge(payloadType: string, payload: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return sha256(preAuthEncoding(payloadType, payload));
}
