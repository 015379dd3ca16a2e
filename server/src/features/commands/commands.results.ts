import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { Compile } from 'typebox/compile';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { ResultBatch, unpackResults, type CommandResult } from '#contract/results.ts';

/** Results whose signature and content were verified, with the bytes that prove all of them. */
export interface VerifiedBatch {
  readonly results: readonly CommandResult[];
  readonly payload: Buffer;
  readonly signature: Buffer;
}

/** Whom the connection belongs to: a result must speak of the same agent and host. */
export interface ResultOrigin {
  readonly agentId: string;
  readonly hostId: string;
}

/** An envelope that no honest agent sends. `reason` is a stable word for logs and the audit entry. */
export class ResultRefused extends Error {
  readonly reason: string;

  constructor(reason: string) {
    super(`a result was refused: ${reason}`);
    this.name = 'ResultRefused';
    this.reason = reason;
  }
}

const schema = Compile(ResultBatch);

/** The bytes that are signed: DSSE v1 pre-authentication encoding. */
export function preAuthEncoding(payloadType: string, payload: Buffer): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `, 'utf8'),
    payload,
  ]);
}

/** The agent's key from its SubjectPublicKeyInfo DER. Throws when it is no Ed25519 key. */
export function resultKey(spki: Buffer): KeyObject {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  if (key.asymmetricKeyType !== 'ed25519') throw new ResultRefused('key_type');
  return key;
}

function verifyAsync(key: KeyObject, bytes: Buffer, signature: Buffer): Promise<boolean> {
  // With a callback the work is done by the thread pool, so that a burst of results does not stop the event loop.
  return new Promise((resolve, reject) => {
    verify(null, bytes, key, signature, (error, ok) => (error === null ? resolve(ok) : reject(error)));
  });
}

/** Verifies the one signature over the very bytes, and only then reads the results in them. Throws ResultRefused. */
export async function verifyResults(
  envelope: Envelope,
  key: KeyObject,
  origin: ResultOrigin,
): Promise<VerifiedBatch> {
  if (envelope.payloadType !== payloadTypes.results) throw new ResultRefused('payload_type');
  const signed = envelope.signatures.length === 1 ? envelope.signatures[0] : undefined;
  if (signed?.kind !== 'ed25519') throw new ResultRefused('signature_kind');
  const payload = Buffer.from(envelope.payload, 'base64url');
  const signature = Buffer.from(signed.signature, 'base64url');
  const ok = await verifyAsync(key, preAuthEncoding(envelope.payloadType, payload), signature);
  if (!ok) throw new ResultRefused('signature');
  const batch = parse(payload);
  if (!schema.Check(batch)) throw new ResultRefused('schema');
  if (batch.agent !== origin.agentId || batch.host !== origin.hostId) throw new ResultRefused('origin');
  return { results: unpackResults(batch), payload, signature };
}

function parse(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    throw new ResultRefused('json');
  }
}

/** Results that were verified before they were stored. */
export function storedResults(payload: Buffer): readonly CommandResult[] {
  const value = parse(payload);
  if (schema.Check(value)) return unpackResults(value);
  // Before there were batches, each result was signed alone.
  return [value as CommandResult];
}
