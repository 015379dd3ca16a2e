import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Ed25519Signature, Envelope, EnvelopeSignature, WebAuthnSignature } from '#contract/dsse.ts';

/** A key that a test person holds: signs DSSE payloads the way a passkey or a card would. */
export interface SoftwareKey<S extends EnvelopeSignature = EnvelopeSignature> {
  readonly keyId: string;
  readonly kind: S['kind'];
  /** SubjectPublicKeyInfo DER, base64url: what a policy document names. */
  readonly publicKey: string;
  sign(payloadType: string, payload: Uint8Array): S;
}

/** What an authenticator and a browser add to a WebAuthn assertion; tests bend single members. */
export interface AssertionOptions {
  readonly rpId: string;
  readonly origin: string;
  readonly userPresent?: boolean;
  readonly userVerified?: boolean;
  readonly type?: string;
  readonly crossOrigin?: boolean;
  readonly challenge?: Uint8Array;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** DSSE v1.0.2 pre-authentication encoding. */
export function pae(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function spki(key: KeyObject): string {
  return key.export({ format: 'der', type: 'spki' }).toString('base64url');
}

/** One assertion over a challenge, as `navigator.credentials.get` returns it. */
export function assertWebAuthn(
  key: { keyId: string; privateKey: KeyObject },
  challenge: Uint8Array,
  options: AssertionOptions,
): WebAuthnSignature {
  const { userPresent = true, userVerified = true, type = 'webauthn.get', crossOrigin = false } = options;
  const clientDataJSON = Buffer.from(
    JSON.stringify({
      type,
      challenge: Buffer.from(options.challenge ?? challenge).toString('base64url'),
      origin: options.origin,
      crossOrigin,
    }),
  );
  const flags = (userPresent ? 0x01 : 0) | (userVerified ? 0x04 : 0);
  const authenticatorData = Buffer.concat([
    sha256(Buffer.from(options.rpId)),
    Buffer.from([flags, 0, 0, 0, 1]),
  ]);
  const signed = Buffer.concat([authenticatorData, sha256(clientDataJSON)]);
  return {
    kind: 'webauthn',
    keyid: key.keyId,
    authenticatorData: authenticatorData.toString('base64url'),
    clientDataJSON: clientDataJSON.toString('base64url'),
    signature: sign('sha256', signed, { key: key.privateKey, dsaEncoding: 'der' }).toString('base64url'),
  };
}

/** A passkey with user verification: ES256 on P-256. */
export function createWebAuthnKey(options: AssertionOptions): SoftwareKey<WebAuthnSignature> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyId = randomBytes(32).toString('base64url');
  return {
    keyId,
    kind: 'webauthn',
    publicKey: spki(publicKey),
    sign: (payloadType, payload) =>
      assertWebAuthn({ keyId, privateKey }, sha256(pae(payloadType, payload)), options),
  };
}

/** A card or command-line key: bare Ed25519 over the pre-authentication encoding. */
export function createEd25519Key(): SoftwareKey<Ed25519Signature> & { readonly privateKey: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keyId = sha256(publicKey.export({ format: 'der', type: 'spki' }))
    .toString('base64url')
    .slice(0, 22);
  return {
    keyId,
    kind: 'ed25519',
    privateKey,
    publicKey: spki(publicKey),
    sign: (payloadType, payload) => ({
      kind: 'ed25519',
      keyid: keyId,
      signature: sign(null, pae(payloadType, payload), privateKey).toString('base64url'),
    }),
  };
}

/** Signs one payload with several keys. */
export function signEnvelope(
  payloadType: string,
  payload: Uint8Array,
  keys: readonly SoftwareKey[],
): Envelope {
  return {
    payloadType,
    payload: Buffer.from(payload).toString('base64url'),
    signatures: keys.map((key) => key.sign(payloadType, payload)),
  };
}
