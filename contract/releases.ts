import { Type, type Static } from 'typebox';
import { Envelope, EnvelopeSignature } from '#contract/dsse.ts';
import { defineRoute, Page, pageQuery } from '#contract/route.ts';
import { Base64Url, Instant, Line, OneOf, OrNull, Prose, Sha256Hex, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';
import { ApproverKey, PolicyDocument } from '#contract/trust.ts';

export const releaseStates = ['awaiting_signatures', 'approved', 'refused', 'expired'] as const;

export const ReleaseSummary = Strict({
  id: Uuid,
  planId: Uuid,
  planTitle: Line(160),
  runId: Uuid,
  state: OneOf(releaseStates),
  class: OneOf(['R1', 'R2', 'R3']),
  reason: Prose(2000),
  requesterId: Uuid,
  requesterName: Line(200),
  hosts: Type.Integer(),
  notBefore: Instant,
  notAfter: Instant,
  createdAt: Instant,
  signatures: Type.Array(
    Strict({
      personId: Uuid,
      personName: Line(200),
      at: Instant,
      custody: OneOf(['hardware', 'platform', 'software']),
    }),
  ),
  signaturesNeeded: Type.Integer(),
  /** May the caller sign now? Otherwise why not. */
  mySignature: OneOf(['possible', 'done', 'requester', 'no_key', 'not_entitled', 'closed']),
});

/** Everything that the signing page needs. It renders `payload` and `targets`, the very bytes, and recomputes their hashes itself. */
export const ReleaseDetail = Strict({
  release: ReleaseSummary,
  payloadType: Type.String(),
  payload: Base64Url(),
  payloadSha256: Sha256Hex,
  /** JCS bytes of every target document, in leaf order. */
  targets: Type.Array(Base64Url(4_000_000)),
  /** Key ids (WebAuthn credential ids) of the caller. */
  myKeyIds: Type.Array(Base64Url(1024)),
  rpId: Type.String(),
  refusal: OrNull(Strict({ personName: Line(200), at: Instant, reason: Prose(2000) })),
});

export const ReleaseCreate = Strict({ reason: Prose(2000), ticket: Type.Optional(Line(120)) });

export const ApproverKeySummary = Strict({
  key: ApproverKey,
  state: OneOf(['pending', 'active', 'removed']),
  sinceEpoch: OrNull(Type.Integer()),
});

export const TrustState = Strict({
  epoch: Type.Integer(),
  document: OrNull(PolicyDocument),
  documentSha256: OrNull(Sha256Hex),
  words: Type.Array(Type.String()),
  keys: Type.Array(ApproverKeySummary),
  /** Agents that have pinned the current epoch, and all. */
  agentsCurrent: Type.Integer(),
  agentsTotal: Type.Integer(),
});

/** WebAuthn creation options as JSON (WebAuthn Level 3, PublicKeyCredentialCreationOptionsJSON). */
export const RegistrationOptions = Type.Object({}, { additionalProperties: true });

export const LockState = Strict({
  serial: Type.Integer(),
  locked: Type.Boolean(),
  scope: OrNull(
    Type.Union([
      Strict({ kind: Type.Literal('tenant') }),
      Strict({ kind: Type.Literal('run'), runId: Uuid }),
    ]),
  ),
  since: OrNull(Instant),
  byName: OrNull(Line(200)),
  reason: OrNull(Prose(500)),
  /** An opening that has one of its two signatures. */
  opening: OrNull(Strict({ payload: Base64Url(), signedBy: Type.Array(Uuid), needed: Type.Integer() })),
});

const releaseParams = Strict({ tenantId: Uuid, releaseId: Uuid });

export const releaseRoutes = {
  createRelease: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/plans/:planId/release',
    permission: 'plans.create',
    audit: 'release.drafted',
    summary: 'Ask for the release of a plan',
    params: Strict({ tenantId: Uuid, planId: Uuid }),
    body: ReleaseCreate,
    response: ReleaseDetail,
    status: 201,
    errors: ['transition_refused', 'policy_refused'],
  }),
  listReleases: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/releases',
    permission: 'releases.read',
    audit: null,
    summary: 'Releases, newest first',
    params: tenantParams,
    query: Strict({ ...pageQuery, state: Type.Optional(OneOf(releaseStates)) }),
    response: Page(ReleaseSummary),
  }),
  getRelease: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/releases/:releaseId',
    permission: 'releases.read',
    audit: null,
    summary: 'One release with the bytes to sign',
    params: releaseParams,
    response: ReleaseDetail,
  }),
  signRelease: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/releases/:releaseId/signatures',
    permission: 'releases.sign',
    audit: 'release.signed',
    summary: 'Add a signature over the payload',
    params: releaseParams,
    body: Strict({ signature: EnvelopeSignature }),
    response: ReleaseDetail,
    status: 201,
    errors: ['signature_refused', 'transition_refused'],
  }),
  refuseRelease: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/releases/:releaseId/refusal',
    permission: 'releases.sign',
    audit: 'release.refused',
    summary: 'Refuse a release, with the reason',
    params: releaseParams,
    body: Strict({ reason: Prose(2000) }),
    response: ReleaseDetail,
    errors: ['transition_refused'],
  }),
  getTrust: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/trust',
    permission: 'trust.read',
    audit: null,
    summary: 'The policy document and approvers’ keys',
    params: tenantParams,
    response: TrustState,
  }),
  startApproverKey: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/approver-keys/options',
    permission: 'trust.enrolKey',
    audit: null,
    summary: 'Options for making a signing passkey (kept five minutes)',
    params: tenantParams,
    response: RegistrationOptions,
  }),
  createApproverKey: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/approver-keys',
    permission: 'trust.enrolKey',
    audit: 'approver_key.enrolled',
    summary: 'Record the new signing key of the caller; it counts when the next policy document names it',
    params: tenantParams,
    body: Type.Union([
      Strict({ kind: Type.Literal('webauthn'), response: Type.Object({}, { additionalProperties: true }) }),
      Strict({ kind: Type.Literal('ed25519'), publicKey: Base64Url(256), proof: Base64Url(256) }),
    ]),
    response: ApproverKeySummary,
    status: 201,
    errors: ['signature_refused', 'already_exists'],
  }),
  draftPolicyDocument: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/policy-documents/drafts',
    permission: 'trust.manage',
    audit: 'policy_document.drafted',
    summary: 'Compose the next policy document, for the root keys to sign offline',
    params: tenantParams,
    body: Strict({
      removeKeyIds: Type.Array(Base64Url(1024), { maxItems: 200 }),
      rootKeys: Type.Optional(
        Type.Array(Strict({ keyId: Base64Url(128), publicKey: Base64Url(256) }), {
          minItems: 1,
          maxItems: 9,
        }),
      ),
      rootThreshold: Type.Optional(Type.Integer({ minimum: 1, maximum: 9 })),
    }),
    response: Strict({
      payloadType: Type.String(),
      payload: Base64Url(),
      sha256: Sha256Hex,
      words: Type.Array(Type.String()),
    }),
    status: 201,
    errors: ['policy_refused'],
  }),
  publishPolicyDocument: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/policy-documents',
    permission: 'trust.manage',
    audit: 'policy_document.published',
    summary: 'Publish a policy document that the root keys signed',
    params: tenantParams,
    body: Strict({ envelope: Envelope }),
    response: TrustState,
    status: 201,
    errors: ['signature_refused', 'conflict'],
  }),
  getLock: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/lock',
    permission: 'locks.read',
    audit: null,
    summary: 'Is the tenant stopped?',
    params: tenantParams,
    response: LockState,
  }),
  draftLock: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/lock/drafts',
    permission: 'locks.sign',
    audit: null,
    summary: 'The lock document to sign; nothing is kept',
    params: tenantParams,
    body: Strict({ state: OneOf(['locked', 'open']), runId: OrNull(Uuid), reason: Prose(500) }),
    response: Strict({
      payloadType: Type.String(),
      payload: Base64Url(),
      sha256: Sha256Hex,
      rpId: Type.String(),
      myKeyIds: Type.Array(Base64Url(1024)),
    }),
    errors: ['transition_refused'],
  }),
  closeLock: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/lock',
    permission: 'locks.sign',
    audit: 'lock.closed',
    summary: 'Emergency stop, by one approver',
    params: tenantParams,
    body: Strict({ envelope: Envelope }),
    response: LockState,
    status: 201,
    errors: ['signature_refused', 'conflict'],
  }),
  openLock: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/lock/opening',
    permission: 'locks.sign',
    audit: 'lock.opened',
    summary: 'Sign the end of an emergency stop; two approvers',
    params: tenantParams,
    body: Strict({ envelope: Envelope }),
    response: LockState,
    status: 201,
    errors: ['signature_refused', 'conflict', 'transition_refused'],
  }),
};

export type ReleaseSummary = Static<typeof ReleaseSummary>;
export type ReleaseDetail = Static<typeof ReleaseDetail>;
export type TrustState = Static<typeof TrustState>;
export type LockState = Static<typeof LockState>;
