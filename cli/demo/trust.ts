import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { payloadTypes } from '#contract/dsse.ts';
import type { ReleaseDetail } from '#contract/releases.ts';
import type { Api } from '../api.ts';
import { createRootKeys, openPolicy, signPolicyWith } from '../policyDocument.ts';
import type { RootKeys } from '../policyDocument.ts';
import { createSoftPasskey, loadSoftPasskey } from '../softkey.ts';
import type { SoftPasskey } from '../softkey.ts';
import type { DemoPerson } from './demo-client.ts';

/** Folder of what a customer keeps offline; the demo has no safe, so it lies in the state directory. */
export function offlineFolder(stateDir: string): string {
  return path.join(stateDir, 'offline');
}

const rootCount = 3;
const rootThreshold = 2;

async function keepRootKeys(folder: string): Promise<RootKeys> {
  const file = path.join(folder, 'root-keys.json');
  if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8')) as RootKeys;
  return createRootKeys(folder, { count: rootCount, threshold: rootThreshold });
}

/** The software passkey of one demo approver, made once. */
export async function keepPasskey(stateDir: string, username: string, origin: string): Promise<SoftPasskey> {
  const folder = path.join(stateDir, 'secrets');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, `passkey-${username}.json`);
  if (existsSync(file)) return loadSoftPasskey(file);
  return createSoftPasskey(file, { rpId: new URL(origin).hostname, origin });
}

/** Enrols the approver's passkey in ATLAS; it counts once a policy document names it. True when it was new. */
export async function enrolPasskey(
  person: DemoPerson,
  tenantId: string,
  passkey: SoftPasskey,
): Promise<boolean> {
  const params = { tenantId };
  const { keys } = await person.api.call('getTrust', { params });
  if (keys.some(({ key }) => key.keyId === passkey.keyId)) return false;
  const options = (await person.api.call('startApproverKey', { params })) as unknown as { challenge: string };
  const response = passkey.register({ challenge: options.challenge });
  await person.api.call('createApproverKey', { params, body: { kind: 'webauthn', response } });
  return true;
}

/** Drafts the next policy document, signs it with two of the three root keys, and publishes it. Gives its epoch. */
export async function publishPolicy(admin: Api, tenantId: string, stateDir: string): Promise<number> {
  const folder = path.join(offlineFolder(stateDir), 'root-keys');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { rootKeys, rootThreshold: threshold } = await keepRootKeys(folder);
  const params = { tenantId };
  const { epoch } = await admin.call('getTrust', { params });
  const first = epoch === 0 ? { rootKeys, rootThreshold: threshold } : {};
  const draft = await admin.call('draftPolicyDocument', { params, body: { removeKeyIds: [], ...first } });
  const { envelope } = openPolicy({ payloadType: draft.payloadType, payload: draft.payload });
  const signers = [1, 2].map((number) => path.join(folder, `root-${number}.pem`));
  const signed = await signPolicyWith(envelope, signers);
  return (await admin.call('publishPolicyDocument', { params, body: { envelope: signed } })).epoch;
}

/** Signs a release as the signing page does: over the very bytes, after recomputing their digest. */
export async function signRelease(
  person: DemoPerson,
  scope: { readonly tenantId: string; readonly releaseId: string },
  passkey: SoftPasskey,
): Promise<ReleaseDetail> {
  const params = { tenantId: scope.tenantId, releaseId: scope.releaseId };
  const detail = await person.api.call('getRelease', { params });
  const payload = Buffer.from(detail.payload, 'base64url');
  const digest = createHash('sha256').update(payload).digest('hex');
  if (digest !== detail.payloadSha256) throw new Error('the server shows another digest than the bytes have');
  const signature = passkey.sign(payloadTypes.command, payload);
  return person.api.call('signRelease', { params, body: { signature } });
}
