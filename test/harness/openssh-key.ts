import { generateKeyPairSync, randomBytes } from 'node:crypto';

const field = (content: Buffer | string): Buffer => {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};
const one = Buffer.from([0, 0, 0, 1]);

/** An Ed25519 key as `ssh-keygen` writes it (OpenSSH's PROTOCOL.key); `cipher` only names one, as a passphrase would. */
export function createOpensshKey(cipher = 'none'): { privateKey: string; line: string; publicKey: string } {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const [seed, point] = [jwk.d, jwk.x].map((text) => Buffer.from(text ?? '', 'base64url'));
  if (seed === undefined || point === undefined) throw new Error('no Ed25519 key was made');
  const publicKey = Buffer.concat([field('ssh-ed25519'), field(point)]);
  const check = randomBytes(4);
  const secret = [check, check, field('ssh-ed25519'), field(point), field(Buffer.concat([seed, point]))];
  const clear = Buffer.concat([...secret, field('atlas')]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7]).subarray(0, (8 - (clear.length % 8)) % 8);
  const body = Buffer.concat([
    ...[Buffer.from('openssh-key-v1\0'), field(cipher), field(cipher === 'none' ? 'none' : 'bcrypt')],
    ...[field(''), one, field(publicKey), field(Buffer.concat([clear, padding]))],
  ]).toString('base64');
  const lines = body.match(/.{1,70}/g) ?? [];
  const privateKey = [
    '-----BEGIN OPENSSH PRIVATE KEY-----',
    ...lines,
    '-----END OPENSSH PRIVATE KEY-----',
    '',
  ].join('\n');
  const shown = publicKey.toString('base64');
  return { privateKey, publicKey: shown, line: `ssh-ed25519 ${shown} atlas` };
}
