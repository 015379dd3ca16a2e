import { createHash } from 'node:crypto';

/** SHA-256 of the given pieces, one after the other. */
export function sha256(...pieces: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

export function sha256Hex(...pieces: Uint8Array[]): string {
  return sha256(...pieces).toString('hex');
}

/** Decodes unpadded base64url. Null when the text is not the one canonical spelling of its bytes. */
export function decodeBase64Url(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}

/** Decodes padded base64. Null when the text is not the one canonical spelling of its bytes. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}
