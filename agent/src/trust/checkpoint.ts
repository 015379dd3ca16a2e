import type { KeyObject } from 'node:crypto';
import { createPublicKey, sign } from 'node:crypto';
import { decodeBase64, sha256 } from './bytes.ts';
import { verifyEd25519 } from './dsse.ts';

/** The signed state of an audit log (C2SP tlog-checkpoint): so many leaves, this root. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  /** The signed text, newline at its end included. */
  readonly body: string;
}

export interface LogKey {
  readonly origin: string;
  readonly publicKey: KeyObject;
}

/** The 32 bytes of an Ed25519 public key without their DER wrapping. */
export function rawEd25519(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-32);
}

/** Key hash of a note signature (C2SP signed-note): 4 bytes over name, algorithm and key. */
function noteKeyId(name: string, algorithm: number, publicKey: KeyObject): Buffer {
  return sha256(Buffer.from(`${name}\n`), Buffer.from([algorithm]), rawEd25519(publicKey)).subarray(0, 4);
}

const signatureLine = /^— (?<name>[^\s+]+) (?<blob>[A-Za-z0-9+/=]+)$/;

function isSignedBy(log: LogKey, body: string, lines: readonly string[]): boolean {
  const wanted = noteKeyId(log.origin, 0x01, log.publicKey);
  return lines.some((line) => {
    const groups = signatureLine.exec(line)?.groups;
    const blob = decodeBase64(groups?.['blob'] ?? '');
    if (groups?.['name'] !== log.origin || blob === null || blob.length !== 68) return false;
    return (
      blob.subarray(0, 4).equals(wanted) && verifyEd25519(log.publicKey, Buffer.from(body), blob.subarray(4))
    );
  });
}

/**
 * Reads a checkpoint and verifies the log's own signature on it (C2SP signed-note).
 * @returns null when it is not well-formed, of another log, or not signed by the log's key.
 */
export function openCheckpoint(note: string, log: LogKey): Checkpoint | null {
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n') || /[\u0000-\u0009\u000b-\u001f\u007f]/.test(note)) return null;
  const body = note.slice(0, split + 1);
  const [origin, sizeText, rootText] = body.split('\n');
  const root = decodeBase64(rootText ?? '');
  if (origin !== log.origin || root?.length !== 32 || !/^(0|[1-9]\d{0,15})$/.test(sizeText ?? ''))
    return null;
  const size = Number(sizeText);
  if (!Number.isSafeInteger(size)) return null;
  const lines = note.slice(split + 2, -1).split('\n');
  return isSignedBy(log, body, lines) ? { origin, size, root: root.toString('hex'), body } : null;
}

/** Name under which an agent cosigns checkpoints. */
export function cosignerName(agentId: string): string {
  return `atlas-agent-${agentId}`;
}

/**
 * Cosigns a checkpoint as a witness (C2SP tlog-cosignature, `cosignature/v1`).
 * @returns the note signature's blob: key hash (4 bytes), time in seconds (8 bytes), Ed25519 signature (64 bytes).
 */
export function cosignCheckpoint(
  checkpoint: Checkpoint,
  witness: { name: string; privateKey: KeyObject },
  atMs: number,
): Buffer {
  const seconds = Math.floor(atMs / 1000);
  const message = Buffer.from(`cosignature/v1\ntime ${seconds}\n${checkpoint.body}`);
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(seconds));
  const publicKey = createPublicKey(witness.privateKey);
  return Buffer.concat([
    noteKeyId(witness.name, 0x04, publicKey),
    time,
    sign(null, message, witness.privateKey),
  ]);
}
