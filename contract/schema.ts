import { Type, type Static, type TSchema } from 'typebox';

/** A strict object: a property that the schema does not name is an error, never ignored. */
export const Strict = <P extends Record<string, TSchema>>(properties: P, options: object = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options });

/** One of a closed list of strings. */
export const OneOf = <const T extends readonly string[]>(values: T, options: object = {}) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options });

/** A value or null: null means "known to be absent". */
export const OrNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** An identifier as text: RFC 9562, lower case. */
export const uuidPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$';

/** UUID in lower case; new identifiers are version 7 (RFC 9562), so that they sort by creation. */
export const Uuid = Type.String({ pattern: uuidPattern });

/** Instant in UTC with milliseconds, e.g. 2026-11-21T20:14:05.120Z (RFC 3339). */
export const Instant = Type.String({
  pattern: '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3}Z$',
});

/** Unpadded base64url (RFC 4648 section 5). */
export const Base64Url = (maxLength = 65_536) => Type.String({ pattern: '^[A-Za-z0-9_-]*$', maxLength });

/** SHA-256 in lower-case hexadecimal. */
export const Sha256Hex = Type.String({ pattern: '^[0-9a-f]{64}$' });

/** One line of text for people: no control characters, no bidirectional overrides, 1 to `maxLength` UTF-16 units. */
export const Line = (maxLength = 200) =>
  Type.String({
    minLength: 1,
    maxLength,
    pattern: '^[^\\u0000-\\u001f\\u007f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]+$',
  });

/** Text of several lines for people. */
export const Prose = (maxLength = 4000) =>
  Type.String({
    maxLength,
    pattern: '^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f\\u202a-\\u202e\\u2066-\\u2069]*$',
  });

/** A machine name as DNS allows it (RFC 1123), lower case. */
export const HostName = Type.String({
  pattern: '^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$',
});

/** Whole number ≥ 0. */
export const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export type { Static, TSchema };
export { Type };
