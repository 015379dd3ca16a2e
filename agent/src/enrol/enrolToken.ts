import { Value } from 'typebox/value';
import { EnrolToken, enrolTokenPrefix } from '#contract/agent-link.ts';
import { decodeBase64Url } from '../trust/bytes.ts';
import { MalformedJson, parseStrictJson } from '../trust/strictJson.ts';
import { EnrolError } from './enrol.errors.ts';

/** Reads the one line that the administrator hands out. @throws EnrolError `token_malformed` */
export function parseEnrolToken(text: string): EnrolToken {
  const trimmed = text.trim();
  if (!trimmed.startsWith(enrolTokenPrefix))
    throw new EnrolError('token_malformed', `expected ${enrolTokenPrefix}…`);
  const bytes = decodeBase64Url(trimmed.slice(enrolTokenPrefix.length));
  if (bytes === null) throw new EnrolError('token_malformed', 'not base64url');
  let value: unknown;
  try {
    value = parseStrictJson(bytes);
  } catch (cause) {
    if (cause instanceof MalformedJson) throw new EnrolError('token_malformed', cause.message, { cause });
    throw cause;
  }
  if (!Value.Check(EnrolToken, value)) throw new EnrolError('token_malformed', 'unexpected content');
  return value;
}
