import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { enrolTokenPrefix, type EnrolToken } from '#contract/agent-link.ts';
import { isUuid } from '../../platform/ids.ts';

const idBytes = 16;
const secretBytes = 32;

/** A secret whose first bytes are the token's identifier, so that it is found without comparing it. */
export function newEnrolSecret(tokenId: string): { secret: string; sha256: Buffer } {
  const bytes = Buffer.concat([Buffer.from(tokenId.replaceAll('-', ''), 'hex'), randomBytes(secretBytes)]);
  return { secret: bytes.toString('base64url'), sha256: hash('sha256', bytes, 'buffer') };
}

/** The identifier in a secret and the hash to compare, or null when it has another form. */
export function readEnrolSecret(secret: string): { tokenId: string; sha256: Buffer } | null {
  const bytes = Buffer.from(secret, 'base64url');
  if (bytes.length !== idBytes + secretBytes) return null;
  const hex = bytes.subarray(0, idBytes).toString('hex');
  const tokenId = [0, 8, 12, 16, 20].map((start, n) => hex.slice(start, [8, 12, 16, 20, 32][n])).join('-');
  return isUuid(tokenId) ? { tokenId, sha256: hash('sha256', bytes, 'buffer') } : null;
}

export function sameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** The one line that an administrator gives to a host. */
export function enrolLine(token: EnrolToken): { token: string; line: string } {
  const text = enrolTokenPrefix + Buffer.from(JSON.stringify(token)).toString('base64url');
  return { token: text, line: `atlas-agent enrol ${text}` };
}

export interface TokenFacts {
  readonly expiresAt: Date;
  readonly usedAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Why a token is of no use any more, or null. */
export function tokenFault(token: TokenFacts, nowMs: number): 'used' | 'revoked' | 'expired' | null {
  if (token.usedAt !== null) return 'used';
  if (token.revokedAt !== null) return 'revoked';
  return token.expiresAt.getTime() <= nowMs ? 'expired' : null;
}

/** What is known about a certificate when it is presented. */
export interface CertificateFacts {
  readonly generation: number;
  readonly notAfter: Date;
  readonly used: boolean;
  /** Another certificate with the same number has been used. */
  readonly rivalUsed: boolean;
  /** Highest number that the agent has used. */
  readonly agentGeneration: number;
  readonly revoked: boolean;
  readonly cloneSuspected: boolean;
}

export type CertificateVerdict =
  'accepted' | 'first_use' | 'revoked' | 'clone_suspected' | 'expired' | 'clone';

/**
 * Decides about a certificate that we have issued. Numbers only grow: whoever comes with an older one after a newer one
 * was used holds a copy of the agent's files.
 */
export function judgeCertificate(facts: CertificateFacts, nowMs: number): CertificateVerdict {
  if (facts.revoked) return 'revoked';
  if (facts.cloneSuspected) return 'clone_suspected';
  if (facts.notAfter.getTime() <= nowMs) return 'expired';
  if (facts.generation < facts.agentGeneration || facts.rivalUsed) return 'clone';
  return facts.used ? 'accepted' : 'first_use';
}
