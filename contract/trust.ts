import { Type, type Static } from 'typebox';
import { Envelope } from '#contract/dsse.ts';
import {
  Base64Url,
  Count,
  HostName,
  Instant,
  Line,
  OneOf,
  OrNull,
  Prose,
  Sha256Hex,
  Strict,
  Uuid,
} from '#contract/schema.ts';
import { verbClasses } from '#contract/verbs.ts';

/** Public key as SubjectPublicKeyInfo DER, base64url. */
const Spki = Base64Url(2048);

/** A person's signing key. One person may hold several; a threshold counts people, never keys. */
export const ApproverKey = Strict({
  keyId: Base64Url(1024),
  personId: Uuid,
  personName: Line(120),
  kind: OneOf(['webauthn', 'ed25519']),
  publicKey: Spki,
  classes: Type.Array(OneOf(verbClasses), { minItems: 1, maxItems: 4 }),
  /** How the key is kept, as attested at enrolment: shown to people, never part of a decision. */
  custody: OneOf(['hardware', 'platform', 'software']),
  addedAt: Instant,
});

/**
 * The tenant's policy document: who may release what, signed by the customer's own root keys.
 * Agents pin it at enrolment and accept only epoch + 1.
 */
export const PolicyDocument = Strict({
  v: Type.Literal(1),
  tenant: Uuid,
  epoch: Type.Integer({ minimum: 1 }),
  issuedAt: Instant,
  rootKeys: Type.Array(Strict({ keyId: Base64Url(128), publicKey: Spki }), { minItems: 1, maxItems: 9 }),
  rootThreshold: Type.Integer({ minimum: 1, maximum: 9 }),
  approvers: Type.Array(ApproverKey, { maxItems: 200 }),
  thresholds: Strict({
    R1: Type.Integer({ minimum: 0, maximum: 9 }),
    R2: Type.Integer({ minimum: 2, maximum: 9 }),
    R3: Type.Integer({ minimum: 2, maximum: 9 }),
  }),
  verbCatalogueSha256: Sha256Hex,
  origins: Type.Array(Type.String({ pattern: '^https?://[a-z0-9.-]+(:\\d{1,5})?$' }), {
    minItems: 1,
    maxItems: 8,
  }),
  rpIds: Type.Array(HostName, { minItems: 1, maxItems: 8 }),
  caps: Strict({
    targetsPerRelease: Type.Integer({ minimum: 1, maximum: 100_000 }),
    restartsPer24h: Type.Integer({ minimum: 1, maximum: 24 }),
  }),
  auditLog: Strict({ origin: Line(200), publicKey: Spki }),
  /** Seconds after which an agent's view of the lock is stale, and every effect is refused until it is fresh again. */
  lockFreshnessS: Type.Integer({ minimum: 5, maximum: 86_400 }),
});

/** What the two people sign: one document releases a whole run. Targets are the leaves of an RFC 6962 tree. */
export const ReleaseDocument = Strict({
  v: Type.Literal(1),
  id: Uuid,
  tenant: Uuid,
  policyEpoch: Type.Integer({ minimum: 1 }),
  class: OneOf(verbClasses),
  planId: Uuid,
  planSha256: Sha256Hex,
  runId: Uuid,
  targetsRoot: Sha256Hex,
  targetsCount: Type.Integer({ minimum: 1, maximum: 100_000 }),
  notBefore: Instant,
  notAfter: Instant,
  requester: Uuid,
  reason: Prose(2000),
  ticket: OrNull(Line(120)),
  logOrigin: Line(200),
});

/** Steps of a host run that act on the host, in the order in which they may happen. */
export const orderSteps = [
  'preflight',
  'guard',
  'download',
  'drain',
  'install',
  'restart',
  'undrain',
  'verify',
  'commit',
  'rollback',
] as const;
export type OrderStep = (typeof orderSteps)[number];

/** One order: the verb and the arguments are both inside what people signed. */
export const Order = Strict({
  step: OneOf(orderSteps),
  verb: Type.String({ maxLength: 64 }),
  args: Type.Record(Type.String(), Type.Unknown()),
});

/** What one host will be told: a leaf of the release's tree (JCS bytes, hashed with the 0x00 prefix of RFC 6962). */
export const TargetDocument = Strict({
  v: Type.Literal(1),
  release: Uuid,
  host: Uuid,
  hostname: HostName,
  agent: Uuid,
  wave: Type.Integer({ minimum: 1 }),
  orders: Type.Array(Order, { minItems: 1, maxItems: 16 }),
});

/** What the server hands to an agent so that the agent can verify the release by itself. */
export const ReleaseBundle = Strict({
  envelope: Envelope,
  target: Base64Url(4_000_000),
  targetIndex: Count,
  /** RFC 6962 audit path from the target's leaf to `targetsRoot`, hex. */
  targetProof: Type.Array(Sha256Hex, { maxItems: 64 }),
  /** The `release.approved` entry in the audit log: its leaf bytes, index, inclusion path, and the signed checkpoint (C2SP tlog-checkpoint). */
  audit: Strict({
    leaf: Base64Url(90_000),
    leafIndex: Count,
    proof: Type.Array(Sha256Hex, { maxItems: 64 }),
    checkpoint: Type.String({ maxLength: 8192 }),
  }),
});

/** Emergency stop, signed by one approver; `open` needs two. Agents refuse every effect while locked. */
export const LockDocument = Strict({
  v: Type.Literal(1),
  tenant: Uuid,
  /** Only grows: a lower or equal number is refused. */
  serial: Type.Integer({ minimum: 1 }),
  state: OneOf(['locked', 'open']),
  scope: Type.Union([
    Strict({ kind: Type.Literal('tenant') }),
    Strict({ kind: Type.Literal('run'), runId: Uuid }),
  ]),
  issuedAt: Instant,
  by: Uuid,
  reason: Prose(500),
});

export type ApproverKey = Static<typeof ApproverKey>;
export type PolicyDocument = Static<typeof PolicyDocument>;
export type ReleaseDocument = Static<typeof ReleaseDocument>;
export type Order = Static<typeof Order>;
export type TargetDocument = Static<typeof TargetDocument>;
export type ReleaseBundle = Static<typeof ReleaseBundle>;
export type LockDocument = Static<typeof LockDocument>;
