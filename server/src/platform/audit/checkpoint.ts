import { hashBytes } from './tiles.ts';
import {
  isSignedBy,
  noteKeyId,
  parseNote,
  rawEd25519,
  signatureLine,
  signatureTypes,
  verifierKey,
} from './note.ts';

/** What a checkpoint says (C2SP tlog-checkpoint): the log's name, its size and its root. */
export interface TreeHead {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

/** Signs for the installation's logs. The private part stays with the platform's secret store or token. */
export interface LogKey {
  /** SubjectPublicKeyInfo DER of the Ed25519 key. */
  readonly publicKeySpki: Buffer;
  /** Ed25519 signature, 64 bytes. */
  readonly sign: (message: Buffer) => Promise<Buffer> | Buffer;
}

/** Name of a tenant's log: first line of its checkpoints and name of its key. */
export function logOrigin(tenantId: string): string {
  return `atlas/${tenantId}`;
}

/** Verifier key of a tenant's log, for foreign tools. */
export function logVerifierKey(tenantId: string, publicKeySpki: Buffer): string {
  return verifierKey(logOrigin(tenantId), publicKeySpki);
}

/** The text that is signed. */
export function checkpointText(head: TreeHead): string {
  return `${head.origin}\n${head.size}\n${head.root.toString('base64')}\n`;
}

/** A checkpoint signed with the log's key. */
export async function signCheckpoint(head: TreeHead, key: LogKey): Promise<string> {
  const text = checkpointText(head);
  const signature = await key.sign(Buffer.from(text));
  const keyId = noteKeyId(head.origin, signatureTypes.ed25519, rawEd25519(key.publicKeySpki));
  return `${text}\n${signatureLine({ name: head.origin, keyId, signature })}`;
}

/** Reads a checkpoint's text. Extension lines are refused: ATLAS writes none. Throws when it is malformed. */
export function parseCheckpointText(text: string): TreeHead {
  const match = /^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/.exec(text);
  const root = Buffer.from(match?.[3] ?? '', 'base64');
  const size = Number(match?.[2]);
  const isCanonical = root.length === hashBytes && root.toString('base64') === match?.[3];
  if (match?.[1] === undefined || !Number.isSafeInteger(size) || !isCanonical) {
    throw new Error('malformed checkpoint');
  }
  return { origin: match[1], size, root };
}

/** The tree head in a checkpoint that the key has signed for this origin. Throws on anything else. */
export function openCheckpoint(note: string, expected: { origin: string; publicKeySpki: Buffer }): TreeHead {
  const signed = parseNote(note);
  const head = parseCheckpointText(signed.text);
  if (head.origin !== expected.origin) throw new Error(`checkpoint of another log: ${head.origin}`);
  if (!isSignedBy(signed, expected.origin, expected.publicKeySpki)) {
    throw new Error('the checkpoint is not signed with the key of the log');
  }
  return head;
}
