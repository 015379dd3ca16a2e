import { createPublicKey, hash, randomBytes, verify } from 'node:crypto';
import {
  generateRegistrationOptions,
  verifyRegistrationResponse,
  type RegistrationResponseJSON,
} from '@simplewebauthn/server';
import { decodeCredentialPublicKey } from '@simplewebauthn/server/helpers';
import { AppError, invariant } from '../../platform/errors.ts';
import { actorOf } from '../../platform/http/caller.ts';
import { readEd25519 } from './dsse.ts';
import type { TrustDeps } from './trust.deps.ts';
import * as repository from './trust.repository.ts';
import type { KeySummary, NewKey } from './trust.repository.ts';

const challengeLifeMs = 5 * 60_000;
const es256 = -7;
/** Formats whose statement is signed by the maker of the device. Roots are not checked: custody is shown, never decisive. */
const attestedFormats = new Set(['tpm', 'apple', 'android-key', 'fido-u2f', 'android-safetynet']);

/** The person who makes a key. */
export interface KeyHolder {
  readonly kind: 'person' | 'apiKey';
  readonly id: string;
  readonly name: string;
  readonly email: string | null;
}

export type KeyBody =
  | { readonly kind: 'webauthn'; readonly response: Record<string, unknown> }
  | { readonly kind: 'ed25519'; readonly publicKey: string; readonly proof: string };

/** What a bare key signs to prove that its holder has it: the challenge of the options, under a prefix of its own. */
export function possessionMessage(tenantId: string, personId: string, challenge: string): Buffer {
  return Buffer.from(`atlas approver key v1\n${tenantId}\n${personId}\n${challenge}\n`);
}

function refused(detail: string, cause?: unknown): AppError {
  return new AppError('signature_refused', { detail, ...(cause === undefined ? {} : { cause }) });
}

function cosePoint(cose: Uint8Array<ArrayBuffer>): Buffer {
  const key = decodeCredentialPublicKey(cose) as unknown as Map<number, unknown>;
  const [x, y] = [key.get(-2), key.get(-3)];
  if (!(x instanceof Uint8Array) || !(y instanceof Uint8Array)) throw refused('the key is not a P-256 key');
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: Buffer.from(x).toString('base64url'),
    y: Buffer.from(y).toString('base64url'),
  };
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'der', type: 'spki' });
}

/** Lets approvers enrol signing keys. A key counts once a policy document names it. */
export class ApproverKeysService {
  readonly #deps: TrustDeps;

  constructor(deps: TrustDeps) {
    this.#deps = deps;
  }

  /** Options for `navigator.credentials.create`, and the challenge that a bare key signs. */
  async start(tenantId: string, holder: KeyHolder): Promise<Record<string, unknown>> {
    if (holder.kind !== 'person') throw new AppError('forbidden', { detail: 'keys belong to people' });
    const { db, clock, publicUrl } = this.#deps;
    const enrolled = await db.inTenant(tenantId, (tx) => repository.listKeys(tx));
    const options = await generateRegistrationOptions({
      rpName: 'ATLAS ORCHESTRATOR',
      rpID: new URL(publicUrl).hostname,
      userID: new Uint8Array(Buffer.from(holder.id.replaceAll('-', ''), 'hex')),
      userName: holder.email ?? holder.name,
      userDisplayName: holder.name,
      challenge: new Uint8Array(randomBytes(32)),
      attestationType: 'direct',
      supportedAlgorithmIDs: [es256],
      excludeCredentials: enrolled
        .filter(({ key }) => key.personId === holder.id && key.kind === 'webauthn')
        .map(({ key }) => ({ id: key.keyId })),
      authenticatorSelection: { userVerification: 'required', residentKey: 'preferred' },
      timeout: challengeLifeMs,
    });
    const expiresAtMs = clock.now() + challengeLifeMs;
    await db.inTenant(tenantId, (tx) =>
      repository.storeChallenge(tx, { personId: holder.id, challenge: options.challenge, expiresAtMs }),
    );
    return options as unknown as Record<string, unknown>;
  }

  /** Keeps a key after its holder has proved to have it. Errors: signature_refused, already_exists. */
  async create(tenantId: string, holder: KeyHolder, body: KeyBody): Promise<KeySummary> {
    if (holder.kind !== 'person') throw new AppError('forbidden', { detail: 'keys belong to people' });
    const { db, clock } = this.#deps;
    const challenge = await db.inTenant(tenantId, (tx) =>
      repository.takeChallenge(tx, holder.id, clock.now()),
    );
    if (challenge === null) throw refused('ask for options first; they are good for five minutes and once');
    const key =
      body.kind === 'webauthn'
        ? await this.#readPasskey(holder.id, body.response, challenge)
        : this.#readBareKey(holder.id, body, possessionMessage(tenantId, holder.id, challenge));
    return db.inTenant(tenantId, async (tx) => {
      if (!(await repository.insertKey(tx, key))) throw new AppError('already_exists');
      await this.#deps.audit.record(tx, {
        action: 'approver_key.enrolled',
        ...actorOf(holder),
        subjectType: 'approver_key',
        subjectId: holder.id,
        outcome: 'ok',
        digest: hash('sha256', key.publicKey),
        details: { keyId: key.keyId, kind: key.kind, custody: key.custody },
      });
      await this.#deps.emit(tx, { type: 'trust.changed', subjectId: null, data: { keyId: key.keyId } });
      const stored = (await repository.listKeys(tx)).find((enrolled) => enrolled.key.keyId === key.keyId);
      invariant(stored !== undefined, 'a key was stored and is not there');
      return { key: stored.key, state: 'pending', sinceEpoch: null };
    });
  }

  async #readPasskey(
    personId: string,
    response: Record<string, unknown>,
    challenge: string,
  ): Promise<NewKey> {
    const { origin, hostname } = new URL(this.#deps.publicUrl);
    const json = response as unknown as RegistrationResponseJSON;
    const { registrationInfo } = await verifyRegistrationResponse({
      response: json,
      expectedChallenge: challenge,
      expectedOrigin: origin,
      expectedRPID: hostname,
      requireUserVerification: true,
      supportedAlgorithmIDs: [es256],
    }).catch((error: unknown) => {
      throw refused(error instanceof Error ? error.message : 'the registration does not hold', error);
    });
    if (registrationInfo === undefined) throw refused('the attestation does not hold');
    const { credential, fmt, aaguid, credentialDeviceType, credentialBackedUp } = registrationInfo;
    const isAttested = attestedFormats.has(fmt) || (fmt === 'packed' && hasCertificates(json));
    // Without a maker's statement nothing is claimed but what the browser says about where it looked.
    const unattested = json.authenticatorAttachment === 'platform' ? 'platform' : 'software';
    return {
      keyId: credential.id,
      personId,
      kind: 'webauthn',
      publicKey: cosePoint(credential.publicKey),
      custody: isAttested ? 'hardware' : unattested,
      attestation: {
        fmt,
        aaguid,
        credentialDeviceType,
        credentialBackedUp,
        transports: credential.transports ?? [],
      },
    };
  }

  #readBareKey(personId: string, body: { publicKey: string; proof: string }, message: Buffer): NewKey {
    const publicKey = Buffer.from(body.publicKey, 'base64url');
    const key = readEd25519(publicKey);
    const proof = Buffer.from(body.proof, 'base64url');
    if (key === null || proof.length !== 64 || !verify(null, message, key, proof)) {
      throw refused('the proof of possession does not hold');
    }
    const keyId = hash('sha256', publicKey, 'buffer').toString('base64url');
    return { keyId, personId, kind: 'ed25519', publicKey, custody: 'software', attestation: {} };
  }
}

/** A packed statement with a certificate chain comes from a maker; without, the key has signed for itself. */
function hasCertificates(response: RegistrationResponseJSON): boolean {
  // The text "x5c" as CBOR has it: a text string of three.
  return Buffer.from(response.response.attestationObject, 'base64url').includes(
    Buffer.from('63783563', 'hex'),
  );
}
