import { Value } from 'typebox/value';
import { AuditLeaf } from '#contract/audit.ts';
import type { PolicyDocument, ReleaseBundle, ReleaseDocument } from '#contract/trust.ts';
import { decodeBase64Url, sha256Hex } from '../trust/bytes.ts';
import { openCheckpoint } from '../trust/checkpoint.ts';
import type { Checkpoint } from '../trust/checkpoint.ts';
import { readPublicKey } from '../trust/dsse.ts';
import { verifyInclusion } from '../trust/merkle.ts';
import type { SeenCheckpoint } from './agentView.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { parseDocument } from './release.check.ts';

/** Opens a checkpoint under the log key that the policy document pins. */
export function openPolicyCheckpoint(note: string, policy: PolicyDocument): Checkpoint | null {
  const publicKey = readPublicKey(policy.auditLog.publicKey, 'ed25519');
  return publicKey === null ? null : openCheckpoint(note, { origin: policy.auditLog.origin, publicKey });
}

/** A checkpoint below the last one seen is only believed when it is one of those seen before. */
export function checkNotBack(checkpoint: Checkpoint, seen: readonly SeenCheckpoint[]): Refusal | null {
  const sameSize = seen.find((one) => one.size === checkpoint.size);
  if (sameSize)
    return sameSize.root === checkpoint.root
      ? null
      : refuse('log_went_back', 'two roots for one size: the log was forked');
  const newest = seen.at(-1);
  if (newest === undefined || checkpoint.size > newest.size) return null;
  return refuse('log_went_back', `checkpoint has ${checkpoint.size} leaves, ${newest.size} were seen`);
}

function checkLeaf(
  leafBytes: Uint8Array,
  release: ReleaseDocument,
  payload: Uint8Array,
): AuditLeaf | Refusal {
  const parsed = parseDocument(leafBytes);
  if ('fault' in parsed || !Value.Check(AuditLeaf, parsed.value))
    return refuse('log_proof_missing', 'leaf is no audit entry');
  const leaf = parsed.value;
  const isApproval =
    leaf.action === 'release.approved' &&
    leaf.outcome === 'ok' &&
    leaf.tenant === release.tenant &&
    leaf.subjectId === release.id &&
    leaf.digest === sha256Hex(payload);
  return isApproval ? leaf : refuse('log_proof_missing', 'leaf is not the approval of this release');
}

/** The proof that the approval stands in the log, and the instants that it proves. */
export interface LogProof {
  readonly checkpoint: Checkpoint;
  readonly approvedAtMs: number;
}

/** No audit, no effect: the approval must be in a log whose state is signed by the pinned key and never shrank. */
export function checkLogProof(
  subject: { release: ReleaseDocument; payload: Uint8Array; audit: ReleaseBundle['audit'] },
  policy: PolicyDocument,
  seen: readonly SeenCheckpoint[],
): LogProof | Refusal {
  const { release, audit } = subject;
  if (release.logOrigin !== policy.auditLog.origin)
    return refuse('log_proof_missing', 'the release names another log');
  const leafBytes = decodeBase64Url(audit.leaf);
  if (leafBytes === null) return refuse('log_proof_missing', 'leaf is not canonical base64url');
  const leaf = checkLeaf(leafBytes, release, subject.payload);
  if ('code' in leaf) return leaf;
  const checkpoint = openPolicyCheckpoint(audit.checkpoint, policy);
  if (checkpoint === null)
    return refuse('log_proof_missing', 'checkpoint is not signed by the pinned log key');
  const claim = {
    leaf: leafBytes,
    index: audit.leafIndex,
    size: checkpoint.size,
    root: checkpoint.root,
    proof: audit.proof,
  };
  if (!verifyInclusion(claim)) return refuse('log_proof_missing', 'the approval is not in the log');
  return checkNotBack(checkpoint, seen) ?? { checkpoint, approvedAtMs: Date.parse(leaf.at) };
}
