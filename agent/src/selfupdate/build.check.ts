import { Value } from 'typebox/value';
import { AgentBuildDocument, compareVersions } from '#contract/builds.ts';
import type { BuildCode } from '#contract/builds.ts';
import { Envelope, payloadTypes } from '#contract/dsse.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { decodeBase64Url, sha256Hex } from '../trust/bytes.ts';
import { isRootSigned } from '../verify/policyChain.check.ts';
import { parseDocument } from '../verify/release.check.ts';

/** Why the agent stays what it is. A refusal is data, never an exception. */
export interface BuildRefusal {
  readonly code: BuildCode;
  readonly detail: string;
}

/** Everything that the verification of a build may look at: no clock, no disk, no network of its own. */
export interface BuildView {
  readonly policy: PolicyDocument;
  readonly nowMs: number;
  /** Latest instant proved by something signed (ms): a clock that was set back does not lengthen a document's life. */
  readonly timeFloorMs: number;
  /** Version that runs. */
  readonly running: string;
  /** The tenant is under an emergency stop. */
  readonly isLocked: boolean;
}

export interface OpenedBuild {
  readonly build: AgentBuildDocument;
  /** The compressed program, as the document describes it. */
  readonly artefact: Buffer;
}

const refuse = (code: BuildCode, detail: string): BuildRefusal => ({ code, detail });

export function isBuildRefusal(value: object): value is BuildRefusal {
  return 'code' in value;
}

function openDocument(envelope: unknown, policy: PolicyDocument): AgentBuildDocument | BuildRefusal {
  if (!Value.Check(Envelope, envelope)) return refuse('malformed', 'the envelope does not fit its schema');
  if (envelope.payloadType !== payloadTypes.agentBuild)
    return refuse('wrong_payload_type', 'the envelope does not hold an agent build');
  const payload = decodeBase64Url(envelope.payload);
  if (payload === null) return refuse('malformed', 'payload is not canonical base64url');
  // Over the bytes as they came, before anybody parses them.
  if (!isRootSigned({ payload, envelope }, policy))
    return refuse('threshold_not_met', `fewer than ${policy.rootThreshold} root keys signed`);
  const parsed = parseDocument(payload);
  if ('fault' in parsed) return refuse('malformed', `payload: ${parsed.fault}`);
  return Value.Check(AgentBuildDocument, parsed.value)
    ? parsed.value
    : refuse('malformed', 'payload is not an agent build');
}

/**
 * Judges a build and its bytes; nothing has been unpacked or written before. In this order: form, type, root signatures,
 * tenant, emergency stop, age, version, digest.
 */
export function openBuild(
  offer: { readonly envelope: unknown; readonly artefact: string },
  view: BuildView,
): OpenedBuild | BuildRefusal {
  const build = openDocument(offer.envelope, view.policy);
  if (isBuildRefusal(build)) return build;
  if (build.tenant !== view.policy.tenant) return refuse('wrong_tenant', 'the build is of another tenant');
  if (view.isLocked) return refuse('locked', 'an emergency stop is in force');
  if (Math.max(view.nowMs, view.timeFloorMs) > Date.parse(build.expiresAt))
    return refuse('expired', `the document was good until ${build.expiresAt}`);
  // A version that is not three numbers, as a run from source says of itself, is not replaced either.
  if (!/^\d+\.\d+\.\d+$/.test(view.running) || compareVersions(build.version, view.running) <= 0)
    return refuse('not_newer', `${build.version} does not follow ${view.running}`);
  const artefact = decodeBase64Url(offer.artefact);
  if (artefact?.length !== build.bytes || sha256Hex(artefact) !== build.sha256)
    return refuse('digest_mismatch', 'the bytes are not those of the document');
  return { build, artefact };
}
