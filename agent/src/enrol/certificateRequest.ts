import { sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** One DER value: tag, length, content (X.690). */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.from(
    body.length.toString(16).padStart(body.length > 0xffff ? 6 : body.length > 0xff ? 4 : 2, '0'),
    'hex',
  );
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}

const sequence = (...content: Uint8Array[]) => der(0x30, ...content);
const commonName = Buffer.from([0x06, 0x03, 0x55, 0x04, 0x03]);
const sha256WithRsa = Buffer.from('06092a864886f70d01010b0500', 'hex');

/**
 * A certificate request (PKCS #10, RFC 2986) that proves possession of the key. The authority takes the key from it and
 * decides every name by itself, so the common name is for people who read logs.
 */
export function createCertificateRequest(
  name: string,
  keys: { publicKey: KeyObject; privateKey: KeyObject },
): string {
  const attribute = sequence(commonName, der(0x0c, Buffer.from(name.slice(0, 64), 'utf8')));
  const subject = sequence(der(0x31, attribute));
  const spki = keys.publicKey.export({ format: 'der', type: 'spki' });
  const body = sequence(der(0x02, Buffer.from([0])), subject, spki, der(0xa0));
  const signature = sign('sha256', body, keys.privateKey);
  const request = sequence(body, sequence(sha256WithRsa), der(0x03, Buffer.from([0]), signature));
  const lines = request.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}
