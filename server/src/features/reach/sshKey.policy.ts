import { hash } from 'node:crypto';

const opening =
  /^-----BEGIN OPENSSH PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)\r?\n-----END OPENSSH PRIVATE KEY-----\s*$/;
const magic = 'openssh-key-v1\0';

/** What can be known of a private key without using it. */
export type KeyVerdict = { readonly fingerprint: string } | { readonly fault: 'not_openssh' | 'passphrase' };

/** SHA-256 of a public key's bytes as OpenSSH prints it. */
export function fingerprintOf(publicKey: Buffer): string {
  return `SHA256:${hash('sha256', publicKey, 'base64').replace(/=+$/, '')}`;
}

/** The public half of a key in OpenSSH's own form (PROTOCOL.key), which stands in clear before the private one. */
export function judgePrivateKey(text: string): KeyVerdict {
  const body = opening.exec(text.trim())?.[1];
  if (body === undefined) return { fault: 'not_openssh' };
  const bytes = Buffer.from(body.replace(/\s/g, ''), 'base64');
  if (bytes.subarray(0, magic.length).toString('latin1') !== magic) return { fault: 'not_openssh' };
  let at = magic.length;
  const next = (): Buffer => {
    const length = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : bytes.length;
    const field = bytes.subarray(at + 4, at + 4 + length);
    at += 4 + length;
    return field;
  };
  const cipher = next().toString('latin1');
  next();
  next();
  at += 4;
  const publicKey = next();
  if (at > bytes.length || publicKey.length < 32) return { fault: 'not_openssh' };
  if (cipher !== 'none') return { fault: 'passphrase' };
  return { fingerprint: fingerprintOf(publicKey) };
}

/** The key's own bytes name its type: what a person confirmed and what ssh compares must be the same. */
export function isKeyOfType(type: string, key: string): boolean {
  const bytes = Buffer.from(key, 'base64');
  if (bytes.length < 4) return false;
  return bytes.subarray(4, 4 + bytes.readUInt32BE(0)).toString('latin1') === type;
}

export function sha256Hex(bytes: Buffer): string {
  return hash('sha256', bytes, 'hex');
}
