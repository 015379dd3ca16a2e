import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { verifyAuthenticationResponse } from '@simplewebauthn/server';
import type { WebAuthnSignature } from '#contract/dsse.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  consistencyProof,
  inclusionProof,
  signCheckpoint,
  treeRoot,
} from '../../../test/harness/merkle-tree.ts';
import {
  createEd25519Key,
  createWebAuthnKey,
  pae as harnessPae,
} from '../../../test/harness/software-key.ts';
import type { AssertionOptions } from '../../../test/harness/software-key.ts';
import { cosignCheckpoint, openCheckpoint } from './checkpoint.ts';
import { pae, readPublicKey } from './dsse.ts';
import { verifyConsistency, verifyInclusion } from './merkle.ts';
import { parseStrictJson } from './strictJson.ts';
import { refuseAssertion } from './webauthn.ts';

const site = { rpId: 'atlas.example.test', origin: 'https://atlas.example.test' };

/** COSE_Key of a P-256 public key, which is how the reference verifier wants it (RFC 9052). */
function coseKey(spki: string): Uint8Array<ArrayBuffer> {
  const jwk = createPublicKey({ key: Buffer.from(spki, 'base64url'), format: 'der', type: 'spki' }).export({
    format: 'jwk',
  });
  const part = (label: number, value = '') => [label, 0x58, 0x20, ...Buffer.from(value, 'base64url')];
  return Uint8Array.from([
    0xa5,
    0x01,
    0x02,
    0x03,
    0x26,
    0x20,
    0x01,
    ...part(0x21, jwk.x),
    ...part(0x22, jwk.y),
  ]);
}

async function referenceAccepts(
  signature: WebAuthnSignature,
  challenge: Buffer,
  publicKey: string,
): Promise<boolean> {
  try {
    const { verified } = await verifyAuthenticationResponse({
      response: {
        id: signature.keyid,
        rawId: signature.keyid,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          authenticatorData: signature.authenticatorData,
          clientDataJSON: signature.clientDataJSON,
          signature: signature.signature,
        },
      },
      expectedChallenge: challenge.toString('base64url'),
      expectedOrigin: site.origin,
      expectedRPID: site.rpId,
      requireUserVerification: true,
      credential: { id: signature.keyid, publicKey: coseKey(publicKey), counter: 0 },
    });
    return verified;
  } catch {
    return false;
  }
}

describe('WebAuthn assertions', () => {
  const bends: [string, Partial<AssertionOptions>, boolean][] = [
    ['as they should be', {}, true],
    ['of another origin', { origin: 'https://evil.test' }, false],
    ['of another relying party', { rpId: 'evil.test' }, false],
    ['without user verification', { userVerified: false }, false],
    ['without user presence', { userPresent: false }, false],
    ['of another type', { type: 'webauthn.create' }, false],
    ['over another challenge', { challenge: Buffer.alloc(32, 7) }, false],
  ];

  it.each(bends)('%s are judged as the reference library judges them', async (_what, bend, isGood) => {
    const payload = Buffer.from('{"any":"payload"}');
    const challenge = createHash('sha256').update(harnessPae('application/x', payload)).digest();
    const key = createWebAuthnKey({ ...site, ...bend });
    const signature = key.sign('application/x', payload);
    const publicKey = readPublicKey(key.publicKey, 'p256')!;
    const fault = refuseAssertion(signature, {
      challenge,
      origins: [site.origin],
      rpIds: [site.rpId],
      publicKey,
    });
    expect(fault === null).toBe(isGood);
    expect(await referenceAccepts(signature, challenge, key.publicKey)).toBe(isGood);
  });

  it('do not pass from a sibling site of the relying party', () => {
    const key = createWebAuthnKey({ rpId: 'example.test', origin: 'https://notexample.test' });
    const challenge = createHash('sha256')
      .update(pae('t', Buffer.from('p')))
      .digest();
    const rules = {
      challenge,
      origins: ['https://notexample.test'],
      rpIds: ['example.test'],
      publicKey: readPublicKey(key.publicKey, 'p256')!,
    };
    expect(refuseAssertion(key.sign('t', Buffer.from('p')), rules)).toBe(
      'origin is outside the relying party',
    );
  });
});

describe('public keys', () => {
  it('are only read when they are of the kind wanted', () => {
    const spki = (pair: { publicKey: KeyObject }) =>
      pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64url');
    const p384 = spki(generateKeyPairSync('ec', { namedCurve: 'P-384' }));
    const ed25519 = spki(generateKeyPairSync('ed25519'));
    expect(readPublicKey(p384, 'p256')).toBeNull();
    expect(readPublicKey(ed25519, 'p256')).toBeNull();
    expect(readPublicKey(ed25519, 'ed25519')).not.toBeNull();
    expect(readPublicKey('AAAA', 'ed25519')).toBeNull();
  });
});

describe('the pre-authentication encoding', () => {
  it('fits the example of the DSSE specification', () => {
    expect(pae('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
  });
});

const someLeaves = (n: number) => Array.from({ length: n }, (_, i) => Buffer.from(`leaf ${i}`));
const rootOf = (n: number) => ({ size: n, root: treeRoot(someLeaves(n)).toString('hex') });

describe('the Merkle tree', () => {
  it('proves every leaf of trees of 1 to 40 leaves, and no other leaf or place', () => {
    for (let size = 1; size <= 40; size += 1) {
      const leaves = someLeaves(size);
      const { root } = rootOf(size);
      leaves.forEach((leaf, index) => {
        const claim = { leaf, index, size, root, proof: inclusionProof(leaves, index) };
        expect(verifyInclusion(claim)).toBe(true);
        expect(verifyInclusion({ ...claim, leaf: Buffer.from('other') })).toBe(false);
        expect(verifyInclusion({ ...claim, index: index + 1 })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: [...claim.proof, root] })).toBe(false);
      });
    }
  });

  it('proves that every tree of 0 to 40 leaves is a prefix of the longer ones', () => {
    for (let to = 0; to <= 40; to += 1) {
      for (let from = 0; from <= to; from += 1) {
        const proof = consistencyProof(someLeaves(to), from);
        expect(verifyConsistency({ from: rootOf(from), to: rootOf(to), proof })).toBe(true);
        if (from > 0) {
          const forked = { size: from, root: 'ab'.repeat(32) };
          expect(verifyConsistency({ from: forked, to: rootOf(to), proof })).toBe(false);
          expect(
            verifyConsistency({ from: rootOf(from), to: { size: to, root: 'cd'.repeat(32) }, proof }),
          ).toBe(false);
        }
      }
    }
  });

  it('refuses to shrink', () => {
    expect(verifyConsistency({ from: rootOf(3), to: rootOf(2), proof: [] })).toBe(false);
    expect(verifyConsistency({ from: rootOf(3), to: rootOf(5), proof: [] })).toBe(false);
  });
});

describe('a checkpoint', () => {
  const key = createEd25519Key();
  const publicKey = readPublicKey(key.publicKey, 'ed25519')!;
  const log = { origin: 'atlas/test/2026', publicKey };
  const note = signCheckpoint(someLeaves(7), { origin: log.origin, privateKey: key.privateKey });

  it('opens under the right key and origin only', () => {
    expect(openCheckpoint(note, log)).toMatchObject({ size: 7, root: rootOf(7).root });
    expect(openCheckpoint(note, { ...log, origin: 'atlas/other' })).toBeNull();
    const stranger = readPublicKey(createEd25519Key().publicKey, 'ed25519')!;
    expect(openCheckpoint(note, { ...log, publicKey: stranger })).toBeNull();
  });

  it('is refused when a line, the size or the signature is bent', () => {
    expect(openCheckpoint(note.replace('\n7\n', '\n8\n'), log)).toBeNull();
    expect(openCheckpoint(note.replace('\n7\n', '\n07\n'), log)).toBeNull();
    expect(openCheckpoint(note.replace('\n7\n', '\n7\r\n'), log)).toBeNull();
    expect(openCheckpoint(note.slice(0, -1), log)).toBeNull();
    expect(openCheckpoint('', log)).toBeNull();
  });

  it('opens beside the signatures of witnesses', () => {
    expect(openCheckpoint(`${note}— someone AAAAAAAA\n`, log)).not.toBeNull();
  });

  it('is cosigned with a time and a verifiable signature', () => {
    const checkpoint = openCheckpoint(note, log)!;
    const blob = cosignCheckpoint(
      checkpoint,
      { name: 'atlas-agent-1', privateKey: key.privateKey },
      1_700_000_000_999,
    );
    expect(blob.length).toBe(76);
    expect(blob.readBigUInt64BE(4)).toBe(1_700_000_000n);
    const message = Buffer.from(`cosignature/v1\ntime 1700000000\n${checkpoint.body}`);
    expect(verify(null, message, publicKey, blob.subarray(12))).toBe(true);
  });
});

describe('strict JSON', () => {
  const parse = (text: string) => parseStrictJson(Buffer.from(text));

  it('reads whatever JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes('__proto__'));
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each([
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"x":{"b":1,"c":[{}],"b":2}}',
    '{"__proto__":1}',
    '["\\ud800"]',
    '{"\\udc00":1}',
    '{"a":1,}',
    "{'a':1}",
    'NaN',
    '',
    '{}{}',
  ])('refuses %s', (text) => {
    expect(() => parse(text)).toThrow();
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => parseStrictJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow();
  });

  it('lets the same name appear in different objects', () => {
    expect(parse('[{"a":1},{"a":2,"b":{"a":3}}]')).toEqual([{ a: 1 }, { a: 2, b: { a: 3 } }]);
  });
});
