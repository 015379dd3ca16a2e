import { hash } from 'node:crypto';
import { Value } from 'typebox/value';
import { AgentBuildDocument } from '#contract/builds.ts';
import { AppError } from '../../platform/errors.ts';

/** A build whose document and bytes fit together. */
export interface SignedBuild {
  readonly document: AgentBuildDocument;
  readonly documentSha256: string;
  readonly artefact: Buffer;
}

const refuse = (detail: string): AppError => new AppError('signature_refused', { detail });

/**
 * Judges a build as agents will, so that a fault shows here and not on a host. `opened` is what the root keys have signed.
 * Throws `signature_refused`.
 */
export function judgeBuild(
  opened: { readonly document: unknown; readonly sha256: string },
  given: { readonly tenantId: string; readonly artefact: string },
  nowMs: number,
): SignedBuild {
  const { document } = opened;
  if (!Value.Check(AgentBuildDocument, document)) throw refuse('the payload is not an agent build');
  if (document.tenant !== given.tenantId) throw refuse('the build is of another tenant');
  if (Date.parse(document.expiresAt) <= nowMs)
    throw refuse(`the document was good until ${document.expiresAt}`);
  const artefact = Buffer.from(given.artefact, 'base64url');
  if (artefact.length !== document.bytes || hash('sha256', artefact, 'hex') !== document.sha256)
    throw refuse('the bytes are not those of the document');
  return { document, documentSha256: opened.sha256, artefact };
}
