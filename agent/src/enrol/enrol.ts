import { createHash, generateKeyPair } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import { Value } from 'typebox/value';
import { EnrolResponse } from '#contract/agent-link.ts';
import type { EnrolRequest, EnrolToken } from '#contract/agent-link.ts';
import { sha256Hex } from '../trust/bytes.ts';
import { parseStrictJson } from '../trust/strictJson.ts';
import { agentVersion } from '../version.ts';
import { acceptPolicyChain } from '../verify/policyChain.check.ts';
import { refuseChain, splitPem } from './certificateChain.ts';
import { createCertificateRequest } from './certificateRequest.ts';
import { EnrolError } from './enrol.errors.ts';
import { parseEnrolToken } from './enrolToken.ts';
import { loadIdentity, storeIdentity } from './identity.ts';
import type { IdentityFiles, IdentityRecord } from './identity.ts';
import { fetchPinnedAuthority, postPinned } from './pinnedServer.ts';

const makeKeyPair = promisify(generateKeyPair);

interface HostKeys {
  readonly keyPem: string;
  readonly resultKeyPem: string;
  readonly csrPem: string;
  readonly resultPublicKey: string;
}

/** RSA-4096 key and request for a certificate of this host. */
export async function createHostKey(name: string): Promise<{ keyPem: string; csrPem: string }> {
  const keys = await makeKeyPair('rsa', { modulusLength: 4096 });
  return {
    keyPem: keys.privateKey.export({ format: 'pem', type: 'pkcs8' }),
    csrPem: createCertificateRequest(name, keys),
  };
}

async function createKeys(name: string): Promise<HostKeys> {
  const result = await makeKeyPair('ed25519');
  return {
    ...(await createHostKey(name)),
    resultKeyPem: result.privateKey.export({ format: 'pem', type: 'pkcs8' }),
    resultPublicKey: result.publicKey.export({ format: 'der', type: 'spki' }).toString('base64url'),
  };
}

/** A digest that tells one installation from another without giving the machine id away (machine-id(5)). */
export async function machineDigest(): Promise<string> {
  const id = await readFile('/etc/machine-id', 'utf8').catch(() => hostname());
  return createHash('sha256').update('atlas-agent machine id\n').update(id.trim()).digest('hex');
}

function parseAnswer(status: number, body: Buffer): EnrolResponse {
  if (status !== 200 && status !== 201)
    throw new EnrolError('refused', `HTTP ${status}: ${body.toString('utf8').slice(0, 500)}`);
  let value: unknown;
  try {
    value = parseStrictJson(body);
  } catch (cause) {
    throw new EnrolError('answer_malformed', 'not JSON', { cause });
  }
  if (!Value.Check(EnrolResponse, value)) throw new EnrolError('answer_malformed', 'unexpected content');
  return value;
}

function checkAnswer(answer: EnrolResponse, token: EnrolToken, keyPem: string): void {
  const authority = splitPem(answer.caPem)[0];
  if (authority === undefined || sha256Hex(authority.raw) !== token.caSha256)
    throw new EnrolError('certificate_wrong', 'the authority handed over is not the pinned one');
  const fault = refuseChain(answer.chainPem, keyPem, Date.now());
  if (fault !== null) throw new EnrolError('certificate_wrong', fault);
  const policy = acceptPolicyChain(answer.policies, {
    tenantId: answer.tenantId,
    policySha256: token.policySha256,
  });
  if ('code' in policy) throw new EnrolError('policy_wrong', policy.detail);
  if (!answer.agentsUrl.startsWith('wss://'))
    throw new EnrolError('answer_malformed', 'agents address is not wss');
}

/** What a successful enrolment says to the person at the keyboard. */
export type EnrolOutcome = IdentityRecord & { readonly policyEpoch: number };

/**
 * Enrols this host: keys made here, certificate from the tenant's authority, policy chain pinned by the token.
 * Nothing is kept unless everything held.
 * @throws EnrolError
 */
export async function enrol(
  tokenText: string,
  options: { identityDirectory: string; again: boolean; onStep?: (step: string) => void },
): Promise<EnrolOutcome> {
  const token = parseEnrolToken(tokenText);
  if (!options.again && (await loadIdentity(options.identityDirectory)) !== null)
    throw new EnrolError('already_enrolled', 'this host has an identity');
  const url = new URL(token.url);
  if (url.protocol !== 'https:') throw new EnrolError('token_malformed', 'the address is not https');
  options.onStep?.('server');
  const caPem = await fetchPinnedAuthority(url, token.caSha256);
  options.onStep?.('keys');
  const name = hostname().toLowerCase();
  const keys = await createKeys(name);
  const body: EnrolRequest = {
    secret: token.secret,
    csrPem: keys.csrPem,
    resultPublicKey: keys.resultPublicKey,
    hostname: name,
    machineId: await machineDigest(),
    agentVersion,
  };
  options.onStep?.('request');
  const { status, body: bytes } = await postPinned(url, body, caPem);
  const answer = parseAnswer(status, bytes);
  checkAnswer(answer, token, keys.keyPem);
  const record: IdentityRecord = {
    v: 1,
    tenantId: answer.tenantId,
    hostId: answer.hostId,
    agentId: answer.agentId,
    agentsUrl: answer.agentsUrl,
    policySha256: token.policySha256,
    generation: 1,
    enrolledAt: new Date().toISOString(),
  };
  const files: IdentityFiles = {
    record,
    ...keys,
    chainPem: answer.chainPem,
    caPem,
    policies: answer.policies,
  };
  await storeIdentity(options.identityDirectory, files);
  const policy = acceptPolicyChain(answer.policies, record);
  return { ...record, policyEpoch: 'code' in policy ? 0 : policy.epoch };
}
