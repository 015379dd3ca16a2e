import { verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { WebAuthnSignature } from '#contract/dsse.ts';
import { decodeBase64Url, sha256 } from './bytes.ts';
import { MalformedJson, parseStrictJson } from './strictJson.ts';

/** What an assertion must fit, from the pinned policy. */
export interface AssertionRules {
  readonly challenge: Uint8Array;
  readonly origins: readonly string[];
  readonly rpIds: readonly string[];
  readonly publicKey: KeyObject;
}

const flag = {
  userPresent: 0x01,
  userVerified: 0x04,
  backupEligible: 0x08,
  backupState: 0x10,
  attested: 0x40,
  extensions: 0x80,
};

function isWithin(origin: string, rpId: string): boolean {
  const host = new URL(origin).hostname;
  return host === rpId || host.endsWith(`.${rpId}`);
}

function refuseClientData(bytes: Uint8Array, rules: AssertionRules): { fault: string } | { origin: string } {
  let data: unknown;
  try {
    data = parseStrictJson(bytes);
  } catch (error) {
    if (error instanceof MalformedJson) return { fault: `client data: ${error.message}` };
    throw error;
  }
  if (typeof data !== 'object' || data === null) return { fault: 'client data is no object' };
  const { type, challenge, origin, crossOrigin, topOrigin } = data as Record<string, unknown>;
  if (type !== 'webauthn.get') return { fault: 'client data is not of an assertion' };
  if (challenge !== Buffer.from(rules.challenge).toString('base64url'))
    return { fault: 'challenge is of another document' };
  if (typeof origin !== 'string' || !rules.origins.includes(origin))
    return { fault: 'origin is not in the policy' };
  if ((crossOrigin !== undefined && crossOrigin !== false) || topOrigin !== undefined)
    return { fault: 'signed inside a foreign page' };
  return { origin };
}

function refuseAuthenticatorData(bytes: Uint8Array, origin: string, rules: AssertionRules): string | null {
  if (bytes.length < 37) return 'authenticator data too short';
  const rpIdHash = Buffer.from(bytes.subarray(0, 32));
  const rpId = rules.rpIds.find((id) => sha256(Buffer.from(id)).equals(rpIdHash));
  if (rpId === undefined) return 'relying party is not in the policy';
  if (!isWithin(origin, rpId)) return 'origin is outside the relying party';
  const flags = bytes[32] ?? 0;
  if ((flags & flag.userPresent) === 0) return 'user presence is missing';
  if ((flags & flag.userVerified) === 0) return 'user verification is missing';
  if ((flags & flag.backupState) !== 0 && (flags & flag.backupEligible) === 0)
    return 'backup flags contradict each other';
  const mayBeLonger = (flags & (flag.attested | flag.extensions)) !== 0;
  return bytes.length > 37 && !mayBeLonger ? 'authenticator data has a tail' : null;
}

/**
 * Checks one assertion (WebAuthn Level 3, section 7.2, steps that concern a stateless verifier).
 * The signature counter is not looked at: synced and several devices make it meaningless to a host.
 * @returns null when it holds, otherwise what is wrong with it.
 */
export function refuseAssertion(signature: WebAuthnSignature, rules: AssertionRules): string | null {
  const clientData = decodeBase64Url(signature.clientDataJSON);
  const authenticatorData = decodeBase64Url(signature.authenticatorData);
  const bytes = decodeBase64Url(signature.signature);
  if (clientData === null || authenticatorData === null || bytes === null) return 'not canonical base64url';
  const signed = Buffer.concat([authenticatorData, sha256(clientData)]);
  if (!verify('sha256', signed, { key: rules.publicKey, dsaEncoding: 'der' }, bytes))
    return 'signature does not fit';
  const client = refuseClientData(clientData, rules);
  return 'fault' in client ? client.fault : refuseAuthenticatorData(authenticatorData, client.origin, rules);
}
