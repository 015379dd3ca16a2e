import { createPublicKey, hash } from 'node:crypto';
import { verifyAuthenticationResponse } from '@simplewebauthn/server';
import type { EnvelopeSignature, WebAuthnSignature } from '#contract/dsse.ts';
import type { ApproverKey, PolicyDocument } from '#contract/trust.ts';
import { isEd25519Signature, preAuthentication } from './dsse.ts';

export interface SignatureInput {
  readonly document: PolicyDocument;
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signature: EnvelopeSignature;
}

/** Whose key signed, or why the signature does not count. */
export type SignatureVerdict =
  | { readonly ok: true; readonly key: ApproverKey }
  | { readonly ok: false; readonly code: 'signer_unknown' | 'bad_signature' };

function coordinate(value: string | undefined): Buffer {
  return Buffer.from(value ?? '', 'base64url');
}

/** COSE form (RFC 9052) of a P-256 key in SubjectPublicKeyInfo; null for any other key. */
export function toCose(spki: Uint8Array): Uint8Array<ArrayBuffer> | null {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    const { crv, x, y } = key.export({ format: 'jwk' });
    if (crv !== 'P-256') return null;
    // A map of five: 1 (kty): 2 (EC2), 3 (alg): -7 (ES256), -1 (crv): 1 (P-256), -2 (x), -3 (y).
    const head = Buffer.from('a5010203262001215820', 'hex');
    return new Uint8Array(Buffer.concat([head, coordinate(x), Buffer.from('225820', 'hex'), coordinate(y)]));
  } catch {
    return null;
  }
}

async function isAssertion(
  signature: WebAuthnSignature,
  key: ApproverKey,
  input: SignatureInput,
): Promise<boolean> {
  const publicKey = toCose(Buffer.from(key.publicKey, 'base64url'));
  if (publicKey === null) return false;
  const challenge = hash('sha256', preAuthentication(input.payloadType, input.payload), 'buffer');
  try {
    const { verified } = await verifyAuthenticationResponse({
      response: {
        id: signature.keyid,
        rawId: signature.keyid,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: signature.clientDataJSON,
          authenticatorData: signature.authenticatorData,
          signature: signature.signature,
        },
      },
      expectedChallenge: challenge.toString('base64url'),
      expectedOrigin: input.document.origins,
      expectedRPID: input.document.rpIds,
      requireUserVerification: true,
      // The document keeps no counter: synced keys and several devices make it meaningless.
      credential: { id: signature.keyid, publicKey, counter: 0 },
    });
    return verified;
  } catch {
    // The library throws for every rule that does not hold; which one is no business of the caller.
    return false;
  }
}

/** Verifies one signature over the bytes as they are, against the keys of the document. */
export async function verifySignature(input: SignatureInput): Promise<SignatureVerdict> {
  const { document, payload, payloadType, signature } = input;
  const key = document.approvers.find(
    ({ keyId, kind }) => keyId === signature.keyid && kind === signature.kind,
  );
  if (key === undefined) return { ok: false, code: 'signer_unknown' };
  const holds =
    signature.kind === 'webauthn'
      ? await isAssertion(signature, key, input)
      : isEd25519Signature(
          Buffer.from(key.publicKey, 'base64url'),
          preAuthentication(payloadType, payload),
          Buffer.from(signature.signature, 'base64url'),
        );
  return holds ? { ok: true, key } : { ok: false, code: 'bad_signature' };
}
