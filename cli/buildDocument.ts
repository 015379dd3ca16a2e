import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import canonicalize from 'canonicalize';
import { Value } from 'typebox/value';
import { AgentBuildDocument, BuildArtefact, maxBuildBytes } from '#contract/builds.ts';
import { Envelope, payloadTypes } from '#contract/dsse.ts';
import { digestWords } from '#contract/words.ts';
import { bundleAgent } from '../agent/packaging/build-deb.ts';
import { StackError } from '../stack/text.ts';
import { signPolicyWith } from './policyDocument.ts';

/** A build of the agent in a file: what root keys sign, and the bytes that it speaks of. */
export interface OpenedBuild {
  readonly envelope: Envelope;
  readonly artefact: string;
  readonly document: AgentBuildDocument;
  readonly sha256: string;
  readonly words: string[];
}

const dayMs = 86_400_000;

function refuse(file: string, why: string, cause?: unknown): StackError {
  return new StackError(
    [`${file} n’est pas une version d’agent : ${why}`, `${file} is no agent build: ${why}`],
    { cause },
  );
}

/** Bundles the agent of this repository, or takes a program that was bundled elsewhere. */
async function readProgram(version: string, file: string | undefined): Promise<Buffer> {
  if (file !== undefined) return readFile(file);
  const work = await mkdtemp(path.join(tmpdir(), 'atlas-build-'));
  try {
    await bundleAgent(path.join(work, 'agent.mjs'), version);
    return await readFile(path.join(work, 'agent.mjs'));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Composes the document of a build that nobody has signed yet. Needs no network. */
export async function draftBuild(
  wish: {
    readonly tenantId: string;
    readonly version: string;
    readonly days: number;
    readonly programFile?: string | undefined;
  },
  nowMs: number,
): Promise<OpenedBuild> {
  const bytes = gzipSync(await readProgram(wish.version, wish.programFile), { level: 9 });
  if (bytes.length > maxBuildBytes) throw refuse('agent.mjs', `${bytes.length} > ${maxBuildBytes}`);
  const document = {
    v: 1,
    tenant: wish.tenantId,
    version: wish.version,
    platform: 'linux-x64',
    sha256: createHash('sha256').update(bytes).digest('hex'),
    bytes: bytes.length,
    issuedAt: new Date(nowMs).toISOString(),
    expiresAt: new Date(nowMs + wish.days * dayMs).toISOString(),
  };
  const payload = Buffer.from(canonicalize(document) ?? '').toString('base64url');
  const artefact = bytes.toString('base64url');
  return openBuildFile({ payloadType: payloadTypes.agentBuild, payload, signatures: [], artefact }, 'draft');
}

/** Opens `{ payloadType, payload, signatures, artefact }`; the bytes must be those of the document. */
function openBuildFile(value: unknown, file: string): OpenedBuild {
  if (typeof value !== 'object' || value === null) throw refuse(file, 'no object');
  const { artefact, ...envelope } = value as { artefact?: unknown };
  if (!Value.Check(Envelope, envelope) || envelope.payloadType !== payloadTypes.agentBuild)
    throw refuse(file, 'no envelope');
  if (!Value.Check(BuildArtefact, artefact)) throw refuse(file, 'no artefact');
  const payload = Buffer.from(envelope.payload, 'base64url');
  let document: unknown;
  try {
    document = JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw refuse(file, 'the payload is not JSON', error);
  }
  if (!Value.Check(AgentBuildDocument, document)) throw refuse(file, 'the payload has another form');
  const bytes = Buffer.from(artefact, 'base64url');
  if (createHash('sha256').update(bytes).digest('hex') !== document.sha256)
    throw refuse(file, 'the bytes are not those of the document');
  const sha256 = createHash('sha256').update(payload).digest('hex');
  return { envelope, artefact, document, sha256, words: digestWords(sha256) };
}

export async function readBuildFile(file: string): Promise<OpenedBuild> {
  return openBuildFile(JSON.parse(await readFile(file, 'utf8')), file);
}

/** The program inside, so that who signs can compare it with one that he has built himself. */
export function programSha256({ artefact }: OpenedBuild): string {
  return createHash('sha256')
    .update(gunzipSync(Buffer.from(artefact, 'base64url')))
    .digest('hex');
}

/** The build with one more signature for each key file. */
export async function signBuild(opened: OpenedBuild, keyFiles: readonly string[]): Promise<OpenedBuild> {
  return { ...opened, envelope: await signPolicyWith(opened.envelope, keyFiles) };
}

/** What is written to a file. */
export function renderBuild({ envelope, artefact }: OpenedBuild): string {
  return `${JSON.stringify({ ...envelope, artefact }, null, 2)}\n`;
}
