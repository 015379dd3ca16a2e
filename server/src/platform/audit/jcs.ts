import canonicalize from 'canonicalize';
import { invariant } from '../errors.ts';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const integerLike = /^(0|[1-9]\d*)$/;

/** What neither UTF-8 nor text in PostgreSQL can carry is replaced: lone surrogates and NUL. */
function cleanText(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.includes('\u0000') ? whole.replaceAll('\u0000', '\ufffd') : whole;
}

/** A copy with clean strings and members in the order of RFC 8785, section 3.2.3; `keys.isPlain` turns false where JavaScript would order them otherwise. */
function ordered(value: unknown, keys: { isPlain: boolean }): Json | undefined {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value === 'number') {
    invariant(Number.isFinite(value), 'JSON knows no such number');
    return value;
  }
  if (value === null || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map((item) => ordered(item, keys) ?? null);
  if (typeof value !== 'object') return undefined;
  if ('toJSON' in value && typeof value.toJSON === 'function') return ordered(value.toJSON(), keys);
  const copy: Record<string, Json> = {};
  for (const key of Object.keys(value).sort()) {
    const member = ordered((value as Record<string, unknown>)[key], keys);
    if (member === undefined) continue;
    if (key === '__proto__' || integerLike.test(key)) {
      keys.isPlain = false;
      Object.defineProperty(copy, key, { value: member, enumerable: true });
    } else {
      copy[cleanText(key)] = member;
    }
  }
  return copy;
}

/**
 * JSON text in the canonical form of RFC 8785, after unsafe characters were replaced.
 * The engine's own serialiser writes numbers and strings as the RFC wants, so that only the order of members is left to do:
 * cleaned and in half the time of the library, which serves where keys look like array indices.
 */
export function toCanonicalText(value: unknown): string {
  const keys = { isPlain: true };
  const copy = ordered(value, keys);
  const text = keys.isPlain ? JSON.stringify(copy) : canonicalize(copy);
  invariant(text !== undefined, 'a value has no canonical form');
  return text;
}
