import { Type, type Static } from 'typebox';
import { Base64Url, Strict } from '#contract/schema.ts';

/** Payload types of the DSSE envelopes that ATLAS signs (DSSE v1.0.2). The type is part of what is signed. */
export const payloadTypes = {
  command: 'application/vnd.atlas.command+json; v=1',
  policy: 'application/vnd.atlas.policy+json; v=1',
  lock: 'application/vnd.atlas.lock+json; v=1',
  results: 'application/vnd.atlas.results+json; v=1',
  agentBuild: 'application/vnd.atlas.agent-build+json; v=1',
} as const;

/** A WebAuthn assertion over SHA-256 of the DSSE pre-authentication encoding (WebAuthn Level 3, section 6.3.3). */
export const WebAuthnSignature = Strict({
  keyid: Base64Url(1024),
  kind: Type.Literal('webauthn'),
  authenticatorData: Base64Url(4096),
  clientDataJSON: Base64Url(4096),
  signature: Base64Url(1024),
});

/** A bare Ed25519 signature over the DSSE pre-authentication encoding. */
export const Ed25519Signature = Strict({
  keyid: Base64Url(1024),
  kind: Type.Literal('ed25519'),
  signature: Base64Url(128),
});

/** One signature. `keyid` is a hint that saves time, never a decision. */
export const EnvelopeSignature = Type.Union([WebAuthnSignature, Ed25519Signature]);

/** DSSE envelope. `payload` is carried verbatim and verified before it is parsed. */
export const Envelope = Strict({
  payloadType: Type.String({ maxLength: 128 }),
  payload: Base64Url(131_072),
  signatures: Type.Array(EnvelopeSignature, { maxItems: 32 }),
});

export type WebAuthnSignature = Static<typeof WebAuthnSignature>;
export type Ed25519Signature = Static<typeof Ed25519Signature>;
export type EnvelopeSignature = Static<typeof EnvelopeSignature>;
export type Envelope = Static<typeof Envelope>;
