import { createPublicKey, hash, verify, type KeyObject } from 'node:crypto';

/** Signature types of C2SP signed-note that ATLAS writes or reads. */
export const signatureTypes = { ed25519: 0x01, cosignature: 0x04 } as const;

export interface NoteSignature {
  readonly name: string;
  readonly keyId: Buffer;
  readonly signature: Buffer;
}

export interface SignedNote {
  /** What is signed: ends with a newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

const maxSignatures = 100;
const keyIdBytes = 4;
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** The 32 bytes of an Ed25519 key out of its SubjectPublicKeyInfo (RFC 8410). Throws on another kind of key. */
export function rawEd25519(spki: Buffer): Buffer {
  if (spki.length !== spkiPrefix.length + 32 || !spki.subarray(0, spkiPrefix.length).equals(spkiPrefix)) {
    throw new Error('not an Ed25519 public key');
  }
  return spki.subarray(spkiPrefix.length);
}

export function ed25519PublicKey(raw: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: 'der', type: 'spki' });
}

/** Key id of a signed note: first four bytes of SHA-256(name, newline, type, key). */
export function noteKeyId(name: string, type: number, rawKey: Buffer): Buffer {
  const text = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(type), rawKey]);
  return hash('sha256', text, 'buffer').subarray(0, keyIdBytes);
}

/** Verifier key as C2SP signed-note writes it: name, key id and key, joined by `+`. */
export function verifierKey(name: string, spki: Buffer): string {
  const raw = rawEd25519(spki);
  const keyId = noteKeyId(name, signatureTypes.ed25519, raw).toString('hex');
  return `${name}+${keyId}+${Buffer.concat([Buffer.of(signatureTypes.ed25519), raw]).toString('base64')}`;
}

/** A signature line, newline included. */
export function signatureLine(signature: NoteSignature): string {
  const body = Buffer.concat([signature.keyId, signature.signature]).toString('base64');
  return `\u2014 ${signature.name} ${body}\n`;
}

const line = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u;

function parseSignature(text: string): NoteSignature {
  const match = line.exec(text);
  const bytes = Buffer.from(match?.[2] ?? '', 'base64');
  if (match?.[1] === undefined || bytes.length <= keyIdBytes || bytes.toString('base64') !== match[2]) {
    throw new Error('malformed signature line in a note');
  }
  return { name: match[1], keyId: bytes.subarray(0, keyIdBytes), signature: bytes.subarray(keyIdBytes) };
}

/** Reads a signed note without judging its signatures. Throws when it is not one. */
export function parseNote(note: string): SignedNote {
  const end = note.lastIndexOf('\n\n');

  if (end < 0 || !note.endsWith('\n') || /[\u0000-\u0009\u000b-\u001f]/.test(note)) {
    throw new Error('malformed signed note');
  }
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > maxSignatures) throw new Error('too many signatures on a note');
  return { text: note.slice(0, end + 1), signatures: lines.map(parseSignature) };
}

/** True when the note carries a valid Ed25519 signature of the named key. */
export function isSignedBy(note: SignedNote, name: string, spki: Buffer): boolean {
  const raw = rawEd25519(spki);
  const keyId = noteKeyId(name, signatureTypes.ed25519, raw);
  const key = ed25519PublicKey(raw);
  return note.signatures.some(
    (found) =>
      found.name === name &&
      found.keyId.equals(keyId) &&
      verify(null, Buffer.from(note.text), key, found.signature),
  );
}
