import { digestWords } from '#contract/words.ts';
import type { ReleaseDetail } from '#contract/releases.ts';
import type { ReleaseDocument, TargetDocument } from '#contract/trust.ts';
import { decodeUtf8, fromBase64Url, sha256, toHex } from './bytes.ts';
import { merkleRoot } from './merkle.ts';

/** One thing that must hold before anybody signs; the name is a message key's last part. */
export interface SignedCheck {
  readonly name:
    'bytes' | 'digest' | 'fields' | 'identity' | 'targetsCount' | 'targetsRoot' | 'targetsRelease';
  readonly ok: boolean;
}

/** What the bytes say, read by this browser, and whether they hold together. */
export interface SignedRelease {
  readonly document: ReleaseDocument | null;
  readonly targets: readonly TargetDocument[];
  readonly sha256: string;
  readonly words: readonly string[];
  readonly checks: readonly SignedCheck[];
  readonly sound: boolean;
}

const documentFields = [
  'v',
  'id',
  'tenant',
  'policyEpoch',
  'class',
  'planId',
  'planSha256',
  'runId',
  'targetsRoot',
  'targetsCount',
  'notBefore',
  'notAfter',
  'requester',
  'reason',
  'ticket',
  'logOrigin',
] as const satisfies readonly (keyof ReleaseDocument)[];
const targetFields = [
  'v',
  'release',
  'host',
  'hostname',
  'agent',
  'wave',
  'orders',
] as const satisfies readonly (keyof TargetDocument)[];

/** True when the object has exactly these members: nothing that this page does not show, nothing missing. */
function hasExactly(value: unknown, fields: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const keys = Object.keys(value);
  return keys.length === fields.length && fields.every((field) => Object.hasOwn(value, field));
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(bytes));
  } catch {
    // Unreadable bytes are a finding of their own, shown as such.
    return null;
  }
}

/** Reads the very bytes to sign and recomputes everything that can be recomputed from them. */
export async function readSignedRelease(detail: ReleaseDetail): Promise<SignedRelease> {
  const payload = fromBase64Url(detail.payload);
  const digest = toHex(await sha256(payload));
  const leaves = detail.targets.map((target) => fromBase64Url(target));
  const root = toHex(await merkleRoot(leaves));
  const parsed = parse(payload);
  const parsedTargets = leaves.map(parse);
  const fieldsOk =
    hasExactly(parsed, documentFields) && parsedTargets.every((target) => hasExactly(target, targetFields));
  const document = hasExactly(parsed, documentFields) ? (parsed as ReleaseDocument) : null;
  const targets = fieldsOk ? (parsedTargets as TargetDocument[]) : [];
  const checks: SignedCheck[] = [
    { name: 'bytes', ok: parsed !== null && parsedTargets.every((target) => target !== null) },
    { name: 'fields', ok: fieldsOk },
    { name: 'digest', ok: digest === detail.payloadSha256 },
    { name: 'identity', ok: document?.id === detail.release.id && document.runId === detail.release.runId },
    { name: 'targetsCount', ok: document?.targetsCount === leaves.length },
    { name: 'targetsRoot', ok: document?.targetsRoot === root },
    {
      name: 'targetsRelease',
      ok: targets.length > 0 && targets.every((target) => target.release === document?.id),
    },
  ];
  return {
    document,
    targets,
    sha256: digest,
    words: digestWords(digest),
    checks,
    sound: checks.every((check) => check.ok),
  };
}
