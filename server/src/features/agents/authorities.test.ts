import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { generateKeyPairSync, X509Certificate, type webcrypto } from 'node:crypto';
import { createServer, connect, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createServerAuthority,
  createTenantAuthority,
  issueAgentCertificate,
  issueServerCertificate,
  readSigningRequest,
  type TenantAuthorityDraft,
} from './authorities.ts';
import { exportPrivateKey, importPrivateKey, p256, rsa4096, toPem, type KeyedCertificate } from './x509.ts';

const tenantA = '01900000-0000-7000-8000-00000000000a';
const tenantB = '01900000-0000-7000-8000-00000000000b';
const agentId = '01900000-0000-7000-8000-000000000001';

let a: TenantAuthorityDraft;
let b: TenantAuthorityDraft;
let agentKeys: webcrypto.CryptoKeyPair;

async function issuing(draft: TenantAuthorityDraft): Promise<KeyedCertificate> {
  return {
    certificate: new x509.X509Certificate(draft.issuingDer),
    privateKey: await importPrivateKey(draft.issuingKeyPem, rsa4096),
  };
}

/** OpenSSL's verdict on the client's chain as the server sees it, or null when it accepts the client. */
async function handshake(chainPem: string): Promise<string | null> {
  const authority = await createServerAuthority(Date.now());
  const leaf = await issueServerCertificate(authority, ['localhost', '127.0.0.1'], Date.now());
  const ca = authority.certificate.toString('pem');
  const server = createServer({
    key: await exportPrivateKey(leaf.privateKey),
    cert: leaf.certificate.toString('pem') + '\n' + ca,
    ca: [toPem(a.rootDer), toPem(b.rootDer)],
    requestCert: true,
    // The product refuses here; the test lets the handshake end so that the verdict can be read.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const verdict = new Promise<string | null>((resolve) => {
    server.once('secureConnection', (socket: TLSSocket) =>
      resolve(socket.authorized ? null : String(socket.authorizationError)),
    );
  });
  const client = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    ca,
    cert: chainPem,
    key: await exportPrivateKey(agentKeys.privateKey),
  });
  client.on('error', () => undefined);
  try {
    return await verdict;
  } finally {
    client.destroy();
    server.close();
  }
}

async function issue(from: KeyedCertificate, tenantId: string) {
  const publicKey = new x509.PublicKey(await crypto.subtle.exportKey('spki', agentKeys.publicKey));
  return issueAgentCertificate(from, { tenantId, agentId, generation: 1, publicKey }, Date.now());
}

describe('the authorities of tenants', () => {
  beforeAll(async () => {
    [a, b, agentKeys] = await Promise.all([
      createTenantAuthority(tenantA, Date.now()),
      createTenantAuthority(tenantB, Date.now()),
      crypto.subtle.generateKey(rsa4096, true, ['sign', 'verify']),
    ]);
  }, 60_000);

  it('issue a certificate that TLS accepts and that says which agent of which tenant it is', async () => {
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: 'CN=whatever the host says',
      keys: agentKeys,
      signingAlgorithm: rsa4096,
    });
    const publicKey = await readSigningRequest(request.toString('pem'));
    const made = await issueAgentCertificate(
      await issuing(a),
      { tenantId: tenantA, agentId, generation: 1, publicKey },
      Date.now(),
    );
    const read = new X509Certificate(made.der);
    expect(read.subjectAltName).toBe(`URI:atlas:tenant:${tenantA}:agent:${agentId}`);
    expect(read.subject).not.toContain('whatever');
    expect(read.serialNumber.toLowerCase()).toBe(made.serial);
    expect(await handshake(made.chainPem)).toBeNull();
  });

  it('cannot name an agent of another tenant: TLS itself refuses', async () => {
    const forged = await issue(await issuing(b), tenantA);
    // Node has no name for X509_V_ERR_PERMITTED_VIOLATION; the same authority is believed about its own tenant.
    expect(await handshake(forged.chainPem)).toBe('UNSPECIFIED');
    expect(await handshake((await issue(await issuing(b), tenantB)).chainPem)).toBeNull();
  });

  it('are not believed when nobody knows them', async () => {
    const stranger = await createTenantAuthority(tenantA, Date.now());
    const made = await issue(await issuing(stranger), tenantA);
    expect(await handshake(made.chainPem)).toBe('UNABLE_TO_GET_ISSUER_CERT_LOCALLY');
  }, 30_000);

  it('refuse a request with a short key, another kind of key, or a signature that does not fit', async () => {
    const make = async (keys: webcrypto.CryptoKeyPair, algorithm: typeof rsa4096 | typeof p256) =>
      (
        await x509.Pkcs10CertificateRequestGenerator.create({
          name: 'CN=x',
          keys,
          signingAlgorithm: algorithm,
        })
      ).toString('pem');
    const short = await crypto.subtle.generateKey({ ...rsa4096, modulusLength: 2048 }, true, [
      'sign',
      'verify',
    ]);
    const curve = await crypto.subtle.generateKey(p256, true, ['sign', 'verify']);
    const good = await make(agentKeys, rsa4096);
    const broken = Buffer.from(x509.PemConverter.decodeFirst(good));
    broken[broken.length - 5] = (broken[broken.length - 5] ?? 0) ^ 1;
    for (const csr of [
      await make(short, rsa4096),
      await make(curve, p256),
      x509.PemConverter.encode(broken, 'CERTIFICATE REQUEST'),
      'no request at all',
    ]) {
      await expect(readSigningRequest(csr)).rejects.toMatchObject({ code: 'invalid_request' });
    }
  });

  it('give the root key out once and keep the issuing key apart from it', () => {
    expect(a.rootKeyPem).not.toBe(a.issuingKeyPem);
    expect(new X509Certificate(a.issuingDer).verify(new X509Certificate(a.rootDer).publicKey)).toBe(true);
    expect(
      new X509Certificate(a.issuingDer).verify(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey),
    ).toBe(false);
  });
});
