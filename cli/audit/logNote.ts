import { createHash, createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** The key with which a log signs, read from a verifier key (C2SP signed-note). */
export interface LogVerifier {
  readonly name: string;
  readonly keyId: Buffer;
  readonly key: KeyObject;
}

/** What a checkpoint says. */
export interface Checkpoint {
  readonly size: number;
  readonly root: Buffer;
}

const ed25519 = 0x01;
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** Reads `name+keyid+key`. Throws when it is not an Ed25519 verifier key. */
export function readVerifierKey(text: string): LogVerifier {
  const [name = '', keyIdHex = '', ...encoded] = text.trim().split('+');
  const typed = Buffer.from(encoded.join('+'), 'base64');
  if (typed.length !== 33 || typed[0] !== ed25519) throw new Error('not an Ed25519 verifier key');
  const keyId = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
  if (keyId.toString('hex') !== keyIdHex) throw new Error('the verifier key does not carry its own key id');
  const spki = Buffer.concat([spkiPrefix, typed.subarray(1)]);
  return { name, keyId, key: createPublicKey({ key: spki, format: 'der', type: 'spki' }) };
}

function isSigned(body: string, lines: readonly string[], verifier: LogVerifier): boolean {
  return lines.some((line) => {
    const [dash, name, encoded] = line.split(' ');
    const blob = Buffer.from(encoded ?? '', 'base64');
    if (dash !== '\u2014' || name !== verifier.name || !blob.subarray(0, 4).equals(verifier.keyId))
      return false;
    return verify(null, Buffer.from(body), verifier.key, blob.subarray(4));
  });
}

/** Size and root of a checkpoint that the log's key has signed. Throws on anything else. */
export function openCheckpoint(note: string, verifier: LogVerifier): Checkpoint {
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) throw new Error('not a signed note');
  const body = note.slice(0, end + 1);
  const match = /^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/.exec(body);
  if (match?.[3] === undefined) throw new Error('malformed checkpoint');
  if (match[1] !== verifier.name) throw new Error(`checkpoint of another log: ${match[1]}`);
  if (!isSigned(body, note.slice(end + 2, -1).split('\n'), verifier)) {
    throw new Error('not signed with the key of the log');
  }
  return { size: Number(match[2]), root: Buffer.from(match[3], 'base64') };
}
