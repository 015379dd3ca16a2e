import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Value } from 'typebox/value';
import { Envelope, payloadTypes } from '#contract/dsse.ts';
import { PolicyDocument } from '#contract/trust.ts';
import { digestWords } from '#contract/words.ts';
import { StackError } from '../stack/text.ts';
import { createSigningKey, loadSigningKey, type SoftSigningKey } from './softkey.ts';

/** Public half of the customer's root keys: what the first draft needs. */
export interface RootKeys {
  readonly rootKeys: { readonly keyId: string; readonly publicKey: string }[];
  readonly rootThreshold: number;
}

/** Makes `count` root keys in a folder, one file each, and `root-keys.json` with their public halves. Nothing is overwritten. */
export async function createRootKeys(
  directory: string,
  wish: { readonly count: number; readonly threshold: number },
): Promise<RootKeys> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const keys: SoftSigningKey[] = [];
  for (let n = 1; n <= wish.count; n += 1) {
    keys.push(await createSigningKey(path.join(directory, `root-${n}.pem`)));
  }
  const made: RootKeys = {
    rootKeys: keys.map(({ keyId, publicKey }) => ({ keyId, publicKey })),
    rootThreshold: wish.threshold,
  };
  await writeFile(path.join(directory, 'root-keys.json'), `${JSON.stringify(made, null, 2)}\n`, {
    flag: 'wx',
  });
  return made;
}

/** A policy document in a file, as drafted or as signed so far. */
export interface OpenedPolicy {
  readonly envelope: Envelope;
  readonly document: PolicyDocument;
  readonly sha256: string;
  readonly words: string[];
}

function refuse(file: string, why: string, cause?: unknown): StackError {
  return new StackError(
    [`${file} n’est pas un document de politique : ${why}`, `${file} is no policy document: ${why}`],
    { cause },
  );
}

/** Opens what `policyDocuments/drafts` answered, or an envelope: `{ payloadType, payload, signatures? }`. */
export function openPolicy(value: unknown, file = 'input'): OpenedPolicy {
  if (typeof value !== 'object' || value === null) throw refuse(file, 'no object');
  const { payloadType, payload, signatures = [] } = value as Partial<Envelope>;
  const envelope = { payloadType, payload, signatures };
  if (!Value.Check(Envelope, envelope) || payloadType !== payloadTypes.policy)
    throw refuse(file, 'no envelope');
  const bytes = Buffer.from(envelope.payload, 'base64url');
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw refuse(file, 'the payload is not JSON', error);
  }
  if (!Value.Check(PolicyDocument, document)) throw refuse(file, 'the payload has another form');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { envelope, document, sha256, words: digestWords(sha256) };
}

export async function readPolicyFile(file: string): Promise<OpenedPolicy> {
  return openPolicy(JSON.parse(await readFile(file, 'utf8')), file);
}

/** The envelope with one more signature for each key; a key that has signed before signs anew. */
export function signPolicy(envelope: Envelope, keys: readonly SoftSigningKey[]): Envelope {
  const payload = Buffer.from(envelope.payload, 'base64url');
  const added = keys.map((key) => key.sign(envelope.payloadType, payload));
  const kept = envelope.signatures.filter(
    ({ keyid }) => !added.some((signature) => signature.keyid === keyid),
  );
  return { ...envelope, signatures: [...kept, ...added] };
}

/** Signs with the keys in these files. */
export async function signPolicyWith(envelope: Envelope, keyFiles: readonly string[]): Promise<Envelope> {
  return signPolicy(envelope, await Promise.all(keyFiles.map(loadSigningKey)));
}
