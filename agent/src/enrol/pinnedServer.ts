import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { DetailedPeerCertificate } from 'node:tls';
import { sha256Hex } from '../trust/bytes.ts';
import { EnrolError } from './enrol.errors.ts';

const timeoutMs = 20_000;
const maxAnswerBytes = 16 << 20;

function walkChain(leaf: DetailedPeerCertificate): Buffer[] {
  const chain: Buffer[] = [];
  const seen = new Set<string>();
  let current: DetailedPeerCertificate | undefined = leaf;
  while (current?.raw !== undefined && !seen.has(current.fingerprint256)) {
    seen.add(current.fingerprint256);
    chain.push(current.raw);
    current = current.issuerCertificate;
  }
  return chain;
}

/**
 * Looks at the certificates that the server presents and takes the authority whose digest the token pins. Nothing is
 * sent on this connection: it only turns the pin into a certificate that the real connection is checked against.
 */
export function fetchPinnedAuthority(url: URL, caSha256: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port || 443),
      ...(isIP(url.hostname) === 0 ? { servername: url.hostname } : {}),
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      timeout: timeoutMs,
    });
    socket.once('secureConnect', () => {
      const pinned = walkChain(socket.getPeerCertificate(true)).find((der) => sha256Hex(der) === caSha256);
      socket.destroy();
      if (pinned === undefined)
        reject(new EnrolError('wrong_server', 'no presented authority has the pinned digest'));
      else resolve(new X509Certificate(pinned).toString());
    });
    socket.once('timeout', () => socket.destroy(new Error('no answer in time')));
    socket.once('error', (cause) => reject(new EnrolError('unreachable', cause.message, { cause })));
  });
}

/** An answer of the server: status and body. */
export interface PinnedAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Posts JSON over TLS 1.3, trusting nobody but the pinned authority, and checking the server's name. */
export function postPinned(url: URL, body: unknown, caPem: string): Promise<PinnedAnswer> {
  const bytes = Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(
        new EnrolError(
          (cause as NodeJS.ErrnoException).code?.startsWith('ERR_TLS') ? 'wrong_server' : 'unreachable',
          cause.message,
          { cause },
        ),
      );
    const call = request(
      url,
      {
        method: 'POST',
        ca: caPem,
        minVersion: 'TLSv1.3',
        agent: false,
        timeout: timeoutMs,
        headers: { 'content-type': 'application/json', 'content-length': bytes.length },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxAnswerBytes) answer.destroy(new Error('answer too long'));
          else chunks.push(chunk);
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks) }));
        answer.on('error', fail);
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', fail);
    call.end(bytes);
  });
}
