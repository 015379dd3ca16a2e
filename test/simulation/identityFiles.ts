import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { jcs } from '../harness/release-world.ts';
import { signEnvelope, type SoftwareKey } from '../harness/software-key.ts';

/** A certificate that loads; nothing in the simulated world looks at who issued it. */
export async function selfSigned(): Promise<{ readonly keyPem: string; readonly certificatePem: string }> {
  x509.cryptoProvider.set(crypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const dayMs = 86_400_000;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=simulated',
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + 90 * dayMs),
    signingAlgorithm: algorithm,
    keys,
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    keyPem: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
    certificatePem: certificate.toString('pem'),
  };
}

/** The first policy document, signed by the root key that it names. */
export function createPolicyEnvelope(policy: PolicyDocument, root: SoftwareKey): Envelope {
  return signEnvelope(payloadTypes.policy, jcs(policy), [root]);
}
