import { Value } from 'typebox/value';
import { Envelope, payloadTypes } from '#contract/dsse.ts';
import { LockDocument } from '#contract/trust.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { decodeBase64Url } from '../trust/bytes.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { parseDocument } from './release.check.ts';
import { verifySignatures } from './signatures.check.ts';

/** People needed to stop, and to go on again. Stopping must be easy. */
const peopleNeeded = { locked: 1, open: 2 } as const;

/** Opens an emergency stop or its end. The same serial again is the same document and changes nothing. */
export function openLock(
  envelope: unknown,
  policy: PolicyDocument,
  lastSerial: number,
): LockDocument | Refusal {
  if (!Value.Check(Envelope, envelope)) return refuse('malformed', 'lock envelope does not fit its schema');
  if (envelope.payloadType !== payloadTypes.lock) return refuse('wrong_payload_type', 'not a lock document');
  const payload = decodeBase64Url(envelope.payload);
  if (payload === null) return refuse('malformed', 'payload is not canonical base64url');
  const signers = verifySignatures(envelope, payload, policy);
  const parsed = parseDocument(payload);
  if ('fault' in parsed || !Value.Check(LockDocument, parsed.value))
    return refuse('malformed', 'not a lock document');
  const lock = parsed.value;
  if (lock.tenant !== policy.tenant) return refuse('wrong_tenant', 'lock is of another tenant');
  const bad = signers.find((signer) => 'refusal' in signer);
  if (bad && 'refusal' in bad) return bad.refusal;
  const persons = new Set(signers.flatMap((signer) => ('key' in signer ? [signer.key.personId] : [])));
  if (persons.size < peopleNeeded[lock.state])
    return refuse('threshold_not_met', `${persons.size} people signed`);
  return lock.serial > lastSerial
    ? lock
    : refuse('replayed', `lock serial ${lock.serial} is not above ${lastSerial}`);
}
