import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { isIP } from 'node:net';
import { AppError } from '../../platform/errors.ts';
import {
  derOf,
  exportPrivateKey,
  nameConstraints,
  newSerial,
  p256,
  rsa4096,
  sha256Of,
  toPem,
  type KeyedCertificate,
} from './x509.ts';

const dayMs = 86_400_000;
const rootLifeMs = 3650 * dayMs;
const issuingLifeMs = 1095 * dayMs;
export const agentCertificateLifeMs = 90 * dayMs;
export const serverCertificateLifeMs = 90 * dayMs;
// A host whose clock is a little behind must not find its first certificate "not yet valid".
const backdateMs = 10 * 60_000;

const caUsage = new x509.KeyUsagesExtension(
  x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
  true,
);
const signatureUsage = new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true);

/** Name under which the agents of a tenant stand. */
function tenantName(tenantId: string): x509.Name {
  return new x509.Name([{ O: [tenantId] }]);
}

/** What an agent's certificate says it is. */
export function agentUri(tenantId: string, agentId: string): string {
  return `atlas:tenant:${tenantId}:agent:${agentId}`;
}

/** What is stored of a new tenant authority, and the root key, which is not. */
export interface TenantAuthorityDraft {
  readonly rootDer: Buffer;
  readonly rootKeyPem: string;
  readonly issuingDer: Buffer;
  readonly issuingKeyPem: string;
  readonly issuingNotAfter: Date;
}

/** Makes a tenant's root and issuing authority, RSA-4096 each: seconds of work, in the thread pool. */
export async function createTenantAuthority(tenantId: string, nowMs: number): Promise<TenantAuthorityDraft> {
  const [rootKeys, issuingKeys] = await Promise.all([
    crypto.subtle.generateKey(rsa4096, true, ['sign', 'verify']),
    crypto.subtle.generateKey(rsa4096, true, ['sign', 'verify']),
  ]);
  const notBefore = new Date(nowMs - backdateMs);
  const issuingNotAfter = new Date(nowMs + issuingLifeMs);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ O: [tenantId] }, { CN: ['ATLAS agents root'] }],
    notBefore,
    notAfter: new Date(nowMs + rootLifeMs),
    keys: rootKeys,
    signingAlgorithm: rsa4096,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      caUsage,
      await x509.SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  const issuing = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ O: [tenantId] }, { CN: ['ATLAS agents issuing'] }],
    issuer: root.subjectName,
    notBefore,
    notAfter: issuingNotAfter,
    publicKey: issuingKeys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: rsa4096,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      caUsage,
      nameConstraints(tenantName(tenantId)),
      await x509.SubjectKeyIdentifierExtension.create(issuingKeys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(root),
    ],
  });
  return {
    rootDer: derOf(root),
    rootKeyPem: await exportPrivateKey(rootKeys.privateKey),
    issuingDer: derOf(issuing),
    issuingKeyPem: await exportPrivateKey(issuingKeys.privateKey),
    issuingNotAfter,
  };
}

/** The installation's own authority for its server certificates, ECDSA P-256. */
export async function createServerAuthority(nowMs: number): Promise<KeyedCertificate> {
  const keys = await crypto.subtle.generateKey(p256, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ O: ['ATLAS ORCHESTRATOR'] }, { CN: ['ATLAS agents listener authority'] }],
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + rootLifeMs),
    keys,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      caUsage,
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, privateKey: keys.privateKey };
}

/** A server certificate for these names: P-256, because its handshake costs a third of RSA-4096's. */
export async function issueServerCertificate(
  authority: KeyedCertificate,
  names: readonly string[],
  nowMs: number,
): Promise<KeyedCertificate> {
  const keys = await crypto.subtle.generateKey(p256, true, ['sign', 'verify']);
  const alternative = names.map((name) => ({
    type: isIP(name) === 0 ? ('dns' as const) : ('ip' as const),
    value: name,
  }));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ O: ['ATLAS ORCHESTRATOR'] }, { CN: [names[0] ?? 'agents'] }],
    issuer: authority.certificate.subjectName,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + serverCertificateLifeMs),
    publicKey: keys.publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      signatureUsage,
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(alternative),
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate),
    ],
  });
  return { certificate, privateKey: keys.privateKey };
}

/**
 * The public key of a signing request, after its own signature and size have been checked. Nothing else in it is believed:
 * the names in the certificate are ours. Throws `invalid_request`.
 */
export async function readSigningRequest(csrPem: string): Promise<x509.PublicKey> {
  let request: x509.Pkcs10CertificateRequest;
  try {
    request = new x509.Pkcs10CertificateRequest(csrPem);
    if (!(await request.verify())) throw new Error('the signature does not fit the key');
  } catch (error) {
    throw new AppError('invalid_request', {
      detail: 'the certificate signing request is not valid',
      cause: error,
    });
  }
  const algorithm = request.publicKey.algorithm as { name: string; modulusLength?: number };
  if (!algorithm.name.startsWith('RSA') || algorithm.modulusLength !== 4096) {
    throw new AppError('invalid_request', { detail: 'an agent’s key must be RSA with 4096 bits' });
  }
  return request.publicKey;
}

export interface AgentCertificate {
  readonly der: Buffer;
  readonly sha256: Buffer;
  readonly serial: string;
  readonly notAfter: Date;
  /** Leaf and issuing authority, leaf first. */
  readonly chainPem: string;
}

/** Issues an agent's certificate; the generation is in the subject's serial number for people who read certificates. */
export async function issueAgentCertificate(
  issuing: KeyedCertificate,
  subject: { tenantId: string; agentId: string; generation: number; publicKey: x509.PublicKey },
  nowMs: number,
): Promise<AgentCertificate> {
  const { tenantId, agentId, generation, publicKey } = subject;
  const serial = newSerial();
  const notAfter = new Date(Math.min(nowMs + agentCertificateLifeMs, issuing.certificate.notAfter.getTime()));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    // The order matters: the tenant's name comes first, as the issuing authority's constraint demands.
    subject: [{ O: [tenantId] }, { CN: [agentId] }, { '2.5.4.5': [String(generation)] }],
    issuer: issuing.certificate.subjectName,
    notBefore: new Date(nowMs - backdateMs),
    notAfter,
    publicKey,
    signingKey: issuing.privateKey,
    signingAlgorithm: rsa4096,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      signatureUsage,
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: agentUri(tenantId, agentId) }]),
      await x509.AuthorityKeyIdentifierExtension.create(issuing.certificate),
    ],
  });
  const der = derOf(certificate);
  const chainPem = toPem(der) + toPem(derOf(issuing.certificate));
  return { der, sha256: sha256Of(der), serial, notAfter, chainPem };
}
