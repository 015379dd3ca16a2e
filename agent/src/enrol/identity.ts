import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Value } from 'typebox/value';
import type { Envelope } from '#contract/dsse.ts';
import { Sha256Hex, Strict, Type, Uuid } from '#contract/schema.ts';
import type { Static } from '#contract/schema.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { readJson, syncDirectory, writeDurably } from '../state/durableFile.ts';
import { sha256 } from '../trust/bytes.ts';
import { acceptPolicyChain } from '../verify/policyChain.check.ts';

/** What an enrolment settles for good. */
const IdentityRecord = Strict({
  v: Type.Literal(1),
  tenantId: Uuid,
  hostId: Uuid,
  agentId: Uuid,
  agentsUrl: Type.String(),
  policySha256: Sha256Hex,
  /** Number of the certificate in use: 1 at enrolment, one more at each renewal. Two agents with one number are clones. */
  generation: Type.Integer({ minimum: 1 }),
  enrolledAt: Type.String(),
});
export type IdentityRecord = Static<typeof IdentityRecord>;

/** Everything that is written at enrolment. Keys are PEM texts made on this host; they never leave it. */
export interface IdentityFiles {
  readonly record: IdentityRecord;
  readonly keyPem: string;
  readonly resultKeyPem: string;
  readonly chainPem: string;
  readonly caPem: string;
  readonly policies: readonly Envelope[];
}

/** An identity as loaded, its policy chain verified again from the pin. */
export interface Identity extends IdentityFiles {
  readonly policy: PolicyDocument;
  readonly resultKey: { readonly id: string; readonly privateKey: KeyObject };
  /** Null on a host that opens no connection of its own: SSH brings everything. */
  readonly certificate: X509Certificate | null;
}

const names = {
  record: 'identity.json',
  key: 'key.pem',
  resultKey: 'result-key.pem',
  chain: 'chain.pem',
  ca: 'ca.pem',
  policies: 'policies.json',
} as const;

async function writeFiles(directory: string, files: IdentityFiles): Promise<void> {
  const write = (name: string, content: string) => writeDurably(path.join(directory, name), content);
  await write(names.key, files.keyPem);
  await write(names.resultKey, files.resultKeyPem);
  await write(names.chain, files.chainPem);
  await write(names.ca, files.caPem);
  await write(names.policies, JSON.stringify(files.policies));
  await write(names.record, JSON.stringify(files.record, null, 2));
}

/** Stores an identity whole or not at all: a directory beside the old one, then one rename. */
export async function storeIdentity(directory: string, files: IdentityFiles): Promise<void> {
  const fresh = `${directory}.new`;
  const old = `${directory}.old`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true, mode: 0o700 });
  await writeFiles(fresh, files);
  await rm(old, { recursive: true, force: true });
  await rename(directory, old).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(fresh, directory);
  await syncDirectory(path.dirname(directory));
  await rm(old, { recursive: true, force: true });
}

/** Short name of the key that signs results. */
export function resultKeyId(privateKey: KeyObject): string {
  return sha256(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }))
    .toString('base64url')
    .slice(0, 22);
}

/** Where the identity lies; after a crash between the two renames it is the old one. */
async function findDirectory(directory: string): Promise<string | null> {
  for (const candidate of [directory, `${directory}.old`])
    if ((await readJson(path.join(candidate, names.record))) !== null) return candidate;
  return null;
}

/** Loads the identity; null before an enrolment. Throws when files contradict each other. */
export async function loadIdentity(directory: string): Promise<Identity | null> {
  const found = await findDirectory(directory);
  if (found === null) return null;
  const read = (name: string) => readFile(path.join(found, name), 'utf8');
  const record = await readJson(path.join(found, names.record));
  if (!Value.Check(IdentityRecord, record)) throw new Error(`${found}: identity.json is damaged`);
  const policies = JSON.parse(await read(names.policies)) as Envelope[];
  const policy = acceptPolicyChain(policies, {
    tenantId: record.tenantId,
    policySha256: record.policySha256,
  });
  if ('code' in policy) throw new Error(`${found}: policy chain is damaged: ${policy.detail}`);
  const resultKeyPem = await read(names.resultKey);
  const privateKey = createPrivateKey(resultKeyPem);
  const chainPem = await read(names.chain);
  return {
    record,
    keyPem: await read(names.key),
    resultKeyPem,
    chainPem,
    caPem: await read(names.ca),
    policies,
    policy,
    resultKey: { id: resultKeyId(privateKey), privateKey },
    certificate: chainPem === '' ? null : new X509Certificate(chainPem),
  };
}

/** Replaces the pinned chain after a next epoch was accepted. */
export async function storePolicies(directory: string, policies: readonly Envelope[]): Promise<void> {
  await writeDurably(path.join(directory, names.policies), JSON.stringify(policies));
}
