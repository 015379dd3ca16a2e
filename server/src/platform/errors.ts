import type { ErrorCode } from '#contract/errors.ts';

/** One field of a request that does not fit: JSON pointer, the rule it breaks, and a sentence for the developer. */
export interface FieldError {
  readonly path: string;
  readonly rule: string;
  readonly message: string;
}

interface AppErrorOptions {
  /** For a person, without secrets or raw text of a database or a host. */
  readonly detail?: string;
  readonly fields?: readonly FieldError[];
  readonly cause?: unknown;
  /** Seconds after which trying again makes sense; sent as Retry-After. */
  readonly retryAfterS?: number;
}

/** An expected refusal, known by its code; anything else that is thrown is a bug of ours. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly fields: readonly FieldError[] | undefined;
  readonly detail: string | undefined;
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(options.detail ?? code, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.detail = options.detail;
    this.fields = options.fields;
    this.retryAfterS = options.retryAfterS;
  }
}

/** A rule of the program itself was broken: the request stops, nothing continues on a wrong assumption. */
export class InvariantError extends Error {
  constructor(why: string) {
    super(`invariant broken: ${why}`);
    this.name = 'InvariantError';
  }
}

/** Throws InvariantError unless the condition holds. */
export function invariant(condition: unknown, why: string): asserts condition {
  if (!condition) throw new InvariantError(why);
}

/** The value, or not_found: an object that is absent and one that belongs to another tenant look the same. */
export function found<T>(value: T | undefined | null): T {
  if (value === undefined || value === null) throw new AppError('not_found');
  return value;
}
