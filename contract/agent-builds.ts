import { Type, type Static } from 'typebox';
import { Base64Url, Instant, OneOf, Sha256Hex, Strict, Uuid } from '#contract/schema.ts';

/** Largest agent build, compressed, in bytes: it travels in one frame and in one request. */
export const maxBuildBytes = 720_000;

/** Version of an agent: three numbers, nothing else, so that everybody orders them alike. */
export const AgentVersion = Type.String({ pattern: '^(0|[1-9]\\d{0,4})(\\.(0|[1-9]\\d{0,4})){2}$' });

/** The compressed program of an agent (gzip). */
export const BuildArtefact = Base64Url(Math.ceil((maxBuildBytes * 4) / 3));

/**
 * Which program agents of a tenant may become, signed by the root keys of its policy document, as many as change the
 * policy itself: who replaces the program that verifies could do without all other signatures.
 */
export const AgentBuildDocument = Strict({
  v: Type.Literal(1),
  tenant: Uuid,
  version: AgentVersion,
  platform: OneOf(['linux-x64']),
  /** Of the artefact as it travels, compressed: verified before anything unpacks it. */
  sha256: Sha256Hex,
  bytes: Type.Integer({ minimum: 1, maximum: maxBuildBytes }),
  issuedAt: Instant,
  /** No agent begins to become this version afterwards. */
  expiresAt: Instant,
});

/** What came of one request to become another version. `postponed`: the host was busy, ask again. */
export const buildOutcomes = ['refused', 'postponed', 'updated', 'reverted'] as const;

/** Why an agent did not become what it was asked to, or went back. */
export const buildCodes = [
  'ok',
  // refused: the request
  'malformed',
  'wrong_payload_type',
  'wrong_tenant',
  'threshold_not_met',
  'expired',
  'not_newer',
  'digest_mismatch',
  'tried_too_often',
  'locked',
  // refused: the host
  'not_launched',
  'does_not_start',
  'write_failed',
  // postponed
  'busy',
  // reverted
  'not_proven',
] as const;
export type BuildCode = (typeof buildCodes)[number];

/** Below zero when `a` is older than `b`. Both are versions as `AgentVersion` says. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (const [index, number] of left.entries()) {
    const difference = number - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export type AgentBuildDocument = Static<typeof AgentBuildDocument>;
