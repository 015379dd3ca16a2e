import { Type, type Static } from 'typebox';
import { Count, Instant, Line, OneOf, OrNull, Prose, Sha256Hex, Strict, Uuid } from '#contract/schema.ts';

/** Everything that is recorded, as `thing.happened`. A mutating route names the action it writes. */
export const auditActions = [
  'tenant.created',
  'tenant.updated',
  'site.created',
  'site.updated',
  'member.created',
  'member.updated',
  'member.removed',
  'api_key.created',
  'api_key.revoked',
  'person.signed_in',
  'person.signed_out',
  'live_ticket.created',
  'enrolment_token.created',
  'enrolment_token.revoked',
  'agent.enrolled',
  'agent.refused',
  'agent.revoked',
  'agent.certificate_renewed',
  'agent.clone_detected',
  'agent.alarm',
  'agent.updated',
  'agent.update_reverted',
  'agent.update_refused',
  'agent_build.imported',
  'build_rollout.started',
  'build_rollout.stopped',
  'build_rollout.ended',
  'ssh_access.host_keys_read',
  'ssh_access.created',
  'ssh_access.tested',
  'ssh_access.key_replaced',
  'ssh_access.activated',
  'ssh_access.deactivated',
  'ssh_access.removed',
  'host.updated',
  'host.scan_requested',
  'group.created',
  'group.updated',
  'group.removed',
  'host_dependency.created',
  'host_dependency.updated',
  'host_dependency.removed',
  'maintenance_policy.created',
  'maintenance_policy.updated',
  'maintenance_policy.removed',
  'update.quarantined',
  'update.quarantine_lifted',
  'quarantine_rule.updated',
  'exception.requested',
  'exception.approved',
  'exception.refused',
  'exception.revoked',
  'window.created',
  'window.updated',
  'window.removed',
  'freeze.created',
  'freeze.updated',
  'freeze.removed',
  'calendar_feed.created',
  'calendar_feed.renewed',
  'calendar_feed.revoked',
  'notice_settings.updated',
  'notice.created',
  'notice.superseded',
  'notice.mail_ended',
  'notice.ended',
  'plan.previewed',
  'plan.created',
  'release.drafted',
  'release.signed',
  'release.refused',
  'release.approved',
  'release.expired',
  'run.started',
  'run.paused',
  'run.resumed',
  'run.cancelled',
  'run.postponed',
  'run.ended',
  'run.report_recorded',
  'missed_run.recorded',
  'missed_run.answered',
  'missed_run.replanned',
  'emergency_report.owed',
  'emergency_report.written',
  'host_run.transitioned',
  'host_run.held',
  'host_run.accepted',
  'host_run.retried',
  'command.dispatched',
  'command.result',
  'approver_key.enrolled',
  'policy_document.drafted',
  'policy_document.published',
  'lock.closed',
  'lock.opened',
  'audit.verified',
  'audit.exported',
  'system.started',
  'system.task',
] as const;
export type AuditAction = (typeof auditActions)[number];

/**
 * One leaf of a tenant's log, serialised once as JCS (RFC 8785) when it is written; at most 65,535 bytes.
 * `digest` is the SHA-256 of what the entry speaks of (an envelope's payload, a document), when there is one.
 */
export const AuditLeaf = Strict({
  v: Type.Literal(1),
  id: Uuid,
  tenant: Uuid,
  at: Instant,
  action: OneOf(auditActions),
  actorKind: OneOf(['person', 'apiKey', 'agent', 'system', 'anonymous']),
  actorId: OrNull(Uuid),
  subjectType: Line(40),
  subjectId: OrNull(Uuid),
  outcome: OneOf(['ok', 'refused', 'failed', 'indeterminate']),
  digest: OrNull(Sha256Hex),
  /** Facts without personal data: identifiers, codes, counts, names of hosts and packages. */
  details: Type.Record(Type.String(), Type.Unknown()),
});

/** An entry as screens show it; `actorName` is resolved when read, it is not in the leaf. */
export const AuditEntry = Strict({
  index: OrNull(Count),
  leaf: AuditLeaf,
  actorName: OrNull(Line(200)),
  subjectName: OrNull(Line(253)),
});

export const AuditState = Strict({
  origin: Line(200),
  size: Count,
  unsealed: Count,
  rootSha256: Sha256Hex,
  checkpoint: Type.String(),
  checkpointAt: OrNull(Instant),
  /** Six words from the root hash, to compare by voice. */
  words: Type.Array(Type.String()),
  witnesses: Type.Array(
    Strict({ agentId: Uuid, hostname: Line(253), treeSize: Count, at: Instant, agrees: Type.Boolean() }),
  ),
  publicKey: Type.String(),
});

export const AuditProof = Strict({
  index: Count,
  leaf: Type.String(),
  leafHash: Sha256Hex,
  proof: Type.Array(Sha256Hex),
  checkpoint: Type.String(),
});

/** What a verification found. `firstBad` names the first entry that does not fit, and how. */
export const AuditVerification = Strict({
  ok: Type.Boolean(),
  size: Count,
  rootSha256: Sha256Hex,
  steps: Type.Array(Strict({ step: Line(60), ok: Type.Boolean(), detail: Prose(500), tookMs: Count })),
  firstBad: OrNull(Strict({ index: Count, entryId: OrNull(Uuid), reason: Prose(500) })),
});

export type AuditLeaf = Static<typeof AuditLeaf>;
export type AuditEntry = Static<typeof AuditEntry>;
export type AuditState = Static<typeof AuditState>;
export type AuditProof = Static<typeof AuditProof>;
export type AuditVerification = Static<typeof AuditVerification>;
