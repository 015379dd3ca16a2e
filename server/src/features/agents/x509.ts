// The library resolves its parsers through decorator metadata and wants the polyfill loaded first.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { createHash, randomBytes } from 'node:crypto';

/** A certificate with the private key that goes with it. */
export interface KeyedCertificate {
  readonly certificate: x509.X509Certificate;
  readonly privateKey: CryptoKey;
}

export const rsa4096 = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 4096,
  publicExponent: new Uint8Array([1, 0, 1]),
} as const;
export const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** 127 random bits, positive and without a leading zero byte, lower-case hexadecimal (RFC 5280, section 4.1.2.2). */
export function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

export function derOf(certificate: x509.X509Certificate): Buffer {
  return Buffer.from(certificate.rawData);
}

export function sha256Of(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** PEM of a certificate in DER. */
export function toPem(der: Uint8Array): string {
  return `${x509.PemConverter.encode(Buffer.from(der), 'CERTIFICATE')}\n`;
}

export async function exportPrivateKey(key: CryptoKey): Promise<string> {
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', key);
  return `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`;
}

export function importPrivateKey(pem: string, algorithm: typeof rsa4096 | typeof p256): Promise<CryptoKey> {
  return crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), algorithm, true, ['sign']);
}

function tlv(tag: number, ...contents: Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = body.length < 0x100 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

/**
 * Name constraints (RFC 5280, section 4.2.1.10): subjects only below `base`; no DNS name, mail or IP address at all,
 * so that the authority of one tenant can name neither a server nor another tenant's agent.
 * A constraint on URIs is left out: OpenSSL refuses every URI without a host part as soon as one exists.
 */
export function nameConstraints(base: x509.Name): x509.Extension {
  const subtree = (general: Buffer): Buffer => tlv(0x30, general);
  const directory = subtree(tlv(0xa4, Buffer.from(base.toArrayBuffer())));
  const excluded = [tlv(0x82), tlv(0x81), tlv(0x87, Buffer.alloc(8)), tlv(0x87, Buffer.alloc(32))];
  const value = tlv(0x30, tlv(0xa0, directory), tlv(0xa1, ...excluded.map(subtree)));
  return new x509.Extension('2.5.29.30', true, value);
}
