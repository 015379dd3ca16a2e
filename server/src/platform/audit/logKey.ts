import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { LogKey } from './checkpoint.ts';

const secretName = 'audit.log-key';

/** The part of the platform's secret store that the log needs. */
interface Secrets {
  readonly getOrCreate: (name: string, make: () => Buffer) => Promise<Buffer>;
}

/** The installation's log key (Ed25519), made at first use and kept under the key-encryption key. */
export async function openLogKey(secrets: Secrets): Promise<LogKey> {
  const pkcs8 = await secrets.getOrCreate(secretName, () =>
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }),
  );
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return {
    publicKeySpki: createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    sign: (message) => sign(null, message, privateKey),
  };
}
