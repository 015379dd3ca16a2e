import { verify } from 'node:crypto';
import { checkpointText, type TreeHead } from './checkpoint.ts';
import { ed25519PublicKey, noteKeyId, rawEd25519, signatureLine, signatureTypes } from './note.ts';

const keyIdBytes = 4;
const timestampBytes = 8;
const signatureBytes = 64;

/** Name under which an agent cosigns. */
export function witnessName(agentId: string): string {
  return `atlas-agent-${agentId}`;
}

/** Bytes that a witness signs (C2SP tlog-cosignature, Ed25519): header, time in whole seconds, checkpoint without signatures. */
export function cosignedMessage(head: TreeHead, timestampS: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timestampS}\n${checkpointText(head)}`);
}

interface Witness {
  readonly agentId: string;
  /** SubjectPublicKeyInfo of the agent's Ed25519 key. */
  readonly publicKeySpki: Buffer;
}

function keyIdOf(witness: Witness): Buffer {
  const raw = rawEd25519(witness.publicKeySpki);
  return noteKeyId(witnessName(witness.agentId), signatureTypes.cosignature, raw);
}

/**
 * Time of a cosignature in seconds since the Unix epoch when it is valid, undefined when it is not.
 * `blob` is what a note signature carries: key id, time as big-endian uint64, 64 bytes of Ed25519.
 */
export function verifyCosignature(head: TreeHead, blob: Buffer, witness: Witness): number | undefined {
  if (blob.length !== keyIdBytes + timestampBytes + signatureBytes) return undefined;
  if (!blob.subarray(0, keyIdBytes).equals(keyIdOf(witness))) return undefined;
  const timestampS = Number(blob.readBigUInt64BE(keyIdBytes));
  const key = ed25519PublicKey(rawEd25519(witness.publicKeySpki));
  const signature = blob.subarray(keyIdBytes + timestampBytes);
  return verify(null, cosignedMessage(head, timestampS), key, signature) ? timestampS : undefined;
}

/** The cosignature as a line to append to the checkpoint that it covers. */
export function cosignatureLine(agentId: string, blob: Buffer): string {
  const keyId = blob.subarray(0, keyIdBytes);
  return signatureLine({ name: witnessName(agentId), keyId, signature: blob.subarray(keyIdBytes) });
}
