import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newId } from '../../platform/ids.ts';
import {
  enrolLine,
  judgeCertificate,
  newEnrolSecret,
  readEnrolSecret,
  sameHash,
  tokenFault,
  type CertificateFacts,
} from './agents.policy.ts';

const nowMs = Date.parse('2026-11-21T12:00:00.000Z');
const good: CertificateFacts = {
  generation: 3,
  notAfter: new Date(nowMs + 1),
  used: true,
  rivalUsed: false,
  agentGeneration: 3,
  revoked: false,
  cloneSuspected: false,
};

describe('an enrolment secret', () => {
  it('carries the identifier of its token and a hash that only it has', () => {
    const tokenId = newId();
    const { secret, sha256 } = newEnrolSecret(tokenId);
    const read = readEnrolSecret(secret);
    expect(read?.tokenId).toBe(tokenId);
    expect(sameHash(read?.sha256 ?? Buffer.alloc(0), sha256)).toBe(true);
    const other = newEnrolSecret(tokenId);
    expect(sameHash(other.sha256, sha256)).toBe(false);
  });

  it('of any other form is told from ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const read = readEnrolSecret(Buffer.from(bytes).toString('base64url'));
        return read === null || bytes.length === 48;
      }),
    );
  });

  it('travels in one line for the shell', () => {
    const { line } = enrolLine({
      url: 'https://atlas.example:9443/enrol',
      secret: newEnrolSecret(newId()).secret,
      caSha256: 'a'.repeat(64),
      policySha256: 'b'.repeat(64),
    });
    expect(line).toMatch(/^atlas-agent enrol atlas-enrol-v1\.[A-Za-z0-9_-]+$/);
  });
});

describe('an enrolment token', () => {
  const fresh = { expiresAt: new Date(nowMs + 1), usedAt: null, revokedAt: null };
  it('is good once, until it expires or is revoked', () => {
    expect(tokenFault(fresh, nowMs)).toBeNull();
    expect(tokenFault({ ...fresh, usedAt: new Date(nowMs) }, nowMs)).toBe('used');
    expect(tokenFault({ ...fresh, revokedAt: new Date(nowMs) }, nowMs)).toBe('revoked');
    expect(tokenFault(fresh, nowMs + 1)).toBe('expired');
  });
});

describe('a certificate that we issued', () => {
  it.each<[string, Partial<CertificateFacts>]>([
    ['accepted', {}],
    ['first_use', { generation: 4, used: false }],
    ['expired', { notAfter: new Date(nowMs) }],
    ['revoked', { revoked: true }],
    ['clone_suspected', { cloneSuspected: true }],
    ['clone', { generation: 2 }],
    ['clone', { generation: 4, used: false, rivalUsed: true }],
  ])('is %s when %o', (verdict, change) => {
    expect(judgeCertificate({ ...good, ...change }, nowMs)).toBe(verdict);
  });
});
