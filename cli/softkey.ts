import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import type { Ed25519Signature, WebAuthnSignature } from '#contract/dsse.ts';

/**
 * A signing key that lives in a file: custody `software`. Whoever can read the file signs in its holder's name, so it is
 * for demonstrations, tests and the command line; people use a security key or a platform passkey.
 */
export interface SoftPasskey {
  readonly custody: 'software';
  readonly keyId: string;
  readonly rpId: string;
  readonly origin: string;
  /** Answer to `navigator.credentials.create`, as the browser's JSON (WebAuthn Level 3, RegistrationResponseJSON). */
  readonly register: (options: { readonly challenge: string }) => Record<string, unknown>;
  /** Signs a DSSE payload: a WebAuthn assertion whose challenge is SHA-256 of the pre-authentication encoding. */
  readonly sign: (payloadType: string, payload: Uint8Array) => WebAuthnSignature;
}

/** A bare Ed25519 key in a file, custody `software`. */
export interface SoftSigningKey {
  readonly custody: 'software';
  readonly keyId: string;
  /** SubjectPublicKeyInfo, base64url. */
  readonly publicKey: string;
  /** Proof of possession that enrolment of the key asks for. */
  readonly prove: (tenantId: string, personId: string, challenge: string) => string;
  readonly sign: (payloadType: string, payload: Uint8Array) => Ed25519Signature;
}

interface PasskeyFile {
  readonly v: 1;
  readonly kind: 'webauthn';
  readonly custody: 'software';
  readonly keyId: string;
  readonly rpId: string;
  readonly origin: string;
  readonly privateKeyPem: string;
}

// Reads "atlas-software-1": authenticators of this file are recognised and never taken for a device.
const aaguid = Buffer.from('61746c61732d736f6674776172652d31', 'hex');
const flags = { present: 0x01, verified: 0x04, attested: 0x40 };
const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest();

/** Pre-authentication encoding of DSSE v1.0.2. */
export function preAuthentication(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** CBOR (RFC 8949): a head of major type and length. */
function cborHead(major: number, length: number): Buffer {
  if (length < 24) return Buffer.from([(major << 5) | length]);
  return length < 256
    ? Buffer.from([(major << 5) | 24, length])
    : Buffer.from([(major << 5) | 25, length >> 8, length & 0xff]);
}

const cborText = (text: string): Buffer => Buffer.concat([cborHead(3, text.length), Buffer.from(text)]);
const cborBytes = (bytes: Uint8Array): Buffer => Buffer.concat([cborHead(2, bytes.length), bytes]);

/** The public key as COSE (RFC 9052): kty EC2, alg ES256, crv P-256, x, y. */
function cosePublicKey(privateKey: KeyObject): Buffer {
  const { x = '', y = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  const point = [x, y].map((value) => cborBytes(Buffer.from(value, 'base64url')));
  const [px = Buffer.alloc(0), py = Buffer.alloc(0)] = point;
  return Buffer.concat([Buffer.from('a501020326200121', 'hex'), px, Buffer.from([0x22]), py]);
}

function clientData(type: 'webauthn.create' | 'webauthn.get', challenge: string, origin: string): Buffer {
  return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
}

/** Authenticator data (WebAuthn Level 3, section 6.1); the counter stays 0, as passkeys that synchronise do. */
function authenticatorData(rpId: string, attested: Uint8Array | null): Buffer {
  const bits = flags.present | flags.verified | (attested === null ? 0 : flags.attested);
  const head = Buffer.concat([sha256(rpId), Buffer.from([bits, 0, 0, 0, 0])]);
  return attested === null ? head : Buffer.concat([head, attested]);
}

function openPasskey(file: PasskeyFile): SoftPasskey {
  const { keyId, rpId, origin } = file;
  const privateKey = createPrivateKey(file.privateKeyPem);
  const register: SoftPasskey['register'] = ({ challenge }) => {
    const id = Buffer.from(keyId, 'base64url');
    const length = Buffer.from([id.length >> 8, id.length & 0xff]);
    const attested = Buffer.concat([aaguid, length, id, cosePublicKey(privateKey)]);
    const attestationObject = Buffer.concat([
      cborHead(5, 3),
      ...[cborText('fmt'), cborText('none')],
      ...[cborText('attStmt'), cborHead(5, 0)],
      ...[cborText('authData'), cborBytes(authenticatorData(rpId, attested))],
    ]);
    return {
      id: keyId,
      rawId: keyId,
      type: 'public-key',
      authenticatorAttachment: 'cross-platform',
      clientExtensionResults: {},
      response: {
        clientDataJSON: clientData('webauthn.create', challenge, origin).toString('base64url'),
        attestationObject: attestationObject.toString('base64url'),
        transports: ['internal'],
      },
    };
  };
  const signPayload: SoftPasskey['sign'] = (payloadType, payload) => {
    const challenge = sha256(preAuthentication(payloadType, payload)).toString('base64url');
    const client = clientData('webauthn.get', challenge, origin);
    const authenticator = authenticatorData(rpId, null);
    return {
      keyid: keyId,
      kind: 'webauthn',
      authenticatorData: authenticator.toString('base64url'),
      clientDataJSON: client.toString('base64url'),
      signature: sign('sha256', Buffer.concat([authenticator, sha256(client)]), {
        key: privateKey,
        dsaEncoding: 'der',
      }).toString('base64url'),
    };
  };
  return { custody: 'software', keyId, rpId, origin, register, sign: signPayload };
}

/** Makes a passkey in a file that only its owner reads; the file must not exist. */
export async function createSoftPasskey(
  path: string,
  party: { readonly rpId: string; readonly origin: string },
): Promise<SoftPasskey> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const file: PasskeyFile = {
    v: 1,
    kind: 'webauthn',
    custody: 'software',
    keyId: randomBytes(32).toString('base64url'),
    rpId: party.rpId,
    origin: party.origin,
    privateKeyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
  await writeFile(path, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  return openPasskey(file);
}

/** Opens a passkey that `createSoftPasskey` made. */
export async function loadSoftPasskey(path: string): Promise<SoftPasskey> {
  const file = JSON.parse(await readFile(path, 'utf8')) as PasskeyFile;
  if (file.kind !== 'webauthn') throw new Error(`${path} holds no software passkey`);
  return openPasskey(file);
}

function openSigningKey(privateKey: KeyObject): SoftSigningKey {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const keyId = sha256(spki).toString('base64url');
  return {
    custody: 'software',
    keyId,
    publicKey: spki.toString('base64url'),
    prove: (tenantId, personId, challenge) =>
      sign(
        null,
        Buffer.from(`atlas approver key v1\n${tenantId}\n${personId}\n${challenge}\n`),
        privateKey,
      ).toString('base64url'),
    sign: (payloadType, payload) => ({
      keyid: keyId,
      kind: 'ed25519',
      signature: sign(null, preAuthentication(payloadType, payload), privateKey).toString('base64url'),
    }),
  };
}

/** Makes an Ed25519 key in a PEM file that only its owner reads; the file must not exist. */
export async function createSigningKey(path: string): Promise<SoftSigningKey> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  await writeFile(path, pem, { mode: 0o600, flag: 'wx' });
  return openSigningKey(privateKey);
}

/** Opens an Ed25519 key from a PEM file. */
export async function loadSigningKey(path: string): Promise<SoftSigningKey> {
  const privateKey = createPrivateKey(await readFile(path));
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new Error(`${path} holds no Ed25519 key`);
  return openSigningKey(privateKey);
}
