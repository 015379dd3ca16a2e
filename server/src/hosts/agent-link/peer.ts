import { hash, type X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { PeerCertificate } from '../port.ts';

const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
const agentUri = new RegExp(`^URI:atlas:tenant:(${uuid}):agent:(${uuid})$`);

/** What a client certificate says, or null when it is no agent's: exactly one alternative name, of our form. */
export function readPeer(certificate: X509Certificate): PeerCertificate | null {
  const match = agentUri.exec(certificate.subjectAltName ?? '');
  if (match?.[1] === undefined || match[2] === undefined) return null;
  return {
    sha256: hash('sha256', certificate.raw, 'buffer'),
    serial: certificate.serialNumber.toLowerCase(),
    tenantId: match[1],
    agentId: match[2],
    notAfter: certificate.validToDate,
  };
}

/** The certificate behind a socket, or null unless TLS has verified its chain. */
export function peerOf(socket: TLSSocket): PeerCertificate | null {
  if (!socket.authorized) return null;
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? null : readPeer(certificate);
}
