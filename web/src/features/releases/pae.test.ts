import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { toHex } from './bytes.ts';
import { preAuthEncoding, signingChallenge } from './pae.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const utf8 = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('the pre-authentication encoding', () => {
  it('is the one of the DSSE specification’s own test vector', () => {
    const encoded = preAuthEncoding('http://example.com/HelloWorld', utf8('hello world'));
    expect(text(encoded)).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  });

  it('counts bytes, not characters', () => {
    expect(text(preAuthEncoding('é', utf8('œuvre')))).toBe('DSSEv1 2 é 6 œuvre');
  });

  it('gives the passkey the SHA-256 of itself', async () => {
    const payload = utf8('{"v":1}');
    const expected = createHash('sha256').update(preAuthEncoding('t', payload)).digest('hex');
    expect(toHex(await signingChallenge('t', payload))).toBe(expected);
  });
});
