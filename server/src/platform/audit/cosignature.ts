import { verify } from 'node:crypto';
import { checkpointText, type TreeHead } from './checkpoint.ts';
import { ed25519PublicKey, noteKeyId, rawEd25519, signatureLine, signatureTypes } from './note.ts';

const timestampBytes = 8;
const signatureBytes = 64;

/** Name under which an agent cosigns. */
export function witnessName(agentId: string): string {
  return `atlas-agent/${agentId}`;
}

/** Bytes that a witness signs (C2SP tlog-cosignature, Ed25519): header, time in whole seconds, checkpoint without signatures. */
export function cosignedMessage(head: TreeHead, timestampS: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timestampS}\n${checkpointText(head)}`);
}

/**
 * Time of a cosignature in seconds since the Unix epoch when it is valid, undefined when it is not.
 * `signature` is the timestamped signature: time as big-endian uint64, then 64 bytes of Ed25519.
 */
export function verifyCosignature(
  head: TreeHead,
  signature: Buffer,
  publicKeySpki: Buffer,
): number | undefined {
  if (signature.length !== timestampBytes + signatureBytes) return undefined;
  const timestampS = Number(signature.readBigUInt64BE(0));
  const key = ed25519PublicKey(rawEd25519(publicKeySpki));
  const isValid = verify(null, cosignedMessage(head, timestampS), key, signature.subarray(timestampBytes));
  return isValid ? timestampS : undefined;
}

/** The cosignature as a line to append to the checkpoint that it covers. */
export function cosignatureLine(agentId: string, publicKeySpki: Buffer, signature: Buffer): string {
  const name = witnessName(agentId);
  const keyId = noteKeyId(name, signatureTypes.cosignature, rawEd25519(publicKeySpki));
  return signatureLine({ name, keyId, signature });
}
