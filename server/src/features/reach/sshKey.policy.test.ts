import { describe, expect, it } from 'vitest';
import { createOpensshKey } from '../../../../test/harness/openssh-key.ts';
import { fingerprintOf, isKeyOfType, judgePrivateKey } from './sshKey.policy.ts';

describe('a private key', () => {
  it('is known by the fingerprint of its public half', () => {
    const { privateKey, publicKey } = createOpensshKey();
    expect(judgePrivateKey(privateKey)).toEqual({
      fingerprint: fingerprintOf(Buffer.from(publicKey, 'base64')),
    });
  });

  it('under a passphrase is refused: nobody could type it at night', () => {
    expect(judgePrivateKey(createOpensshKey('aes256-ctr').privateKey)).toEqual({ fault: 'passphrase' });
  });

  it.each(['', 'ssh-ed25519 AAAA', '-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----'])(
    'of another form is refused: %s',
    (text) => {
      expect(judgePrivateKey(text)).toEqual({ fault: 'not_openssh' });
    },
  );

  it('that was cut short is refused', () => {
    const lines = createOpensshKey().privateKey.split('\n');
    const short = [lines[0], lines[1]?.slice(0, 40), lines.at(-2)].join('\n');
    expect(judgePrivateKey(short)).toEqual({ fault: 'not_openssh' });
  });
});

describe('a host key', () => {
  it('is what its own bytes say', () => {
    const { publicKey } = createOpensshKey();
    expect(isKeyOfType('ssh-ed25519', publicKey)).toBe(true);
    expect(isKeyOfType('ssh-rsa', publicKey)).toBe(false);
  });
});
