import { payloadTypes } from '#contract/dsse.ts';
import type { ReleaseBundle } from '#contract/trust.ts';
import { AppError, found, invariant } from '../../platform/errors.ts';
import { targetProof } from './release-tree.ts';
import type { ReleasesDeps } from './releases.deps.ts';
import * as repository from './releases.repository.ts';

/**
 * What an agent needs to verify the release by itself.
 * Waits until the `release.approved` entry is sealed: without the log there is no dispatch. Errors: not_found, audit_unavailable.
 */
export async function releaseBundle(
  deps: Pick<ReleasesDeps, 'db' | 'seal'>,
  tenantId: string,
  wanted: { readonly releaseId: string; readonly hostId: string },
): Promise<ReleaseBundle> {
  const { releaseId, hostId } = wanted;
  const { row, signatures, targets } = await deps.db.inTenant(tenantId, async (tx) => ({
    row: found(await repository.getRelease(tx, releaseId)),
    signatures: (await repository.listSignatures(tx, [releaseId])).get(releaseId) ?? [],
    targets: await repository.listTargets(tx, releaseId),
  }));
  invariant(row.approvedEntryId !== null, 'a bundle was asked for a release that is not approved');
  const index = targets.findIndex((target) => target.hostId === hostId);
  const target = targets[index];
  if (target === undefined)
    throw new AppError('not_found', { detail: 'this host is not a target of the release' });
  const sealed = await deps.seal(tenantId, row.approvedEntryId);
  return {
    envelope: {
      payloadType: payloadTypes.command,
      payload: row.payload.toString('base64url'),
      signatures: signatures.map((signature) => signature.signature),
    },
    target: target.document.toString('base64url'),
    targetIndex: index,
    targetProof: await targetProof(
      targets.map((leaf) => leaf.document),
      index,
    ),
    audit: sealed,
  };
}
