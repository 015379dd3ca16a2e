import type { ErrorCode, Problem } from '#contract/errors.ts';

/**
 * `network`: nothing answered. `unreadable`: something answered, but not in ATLAS's terms (a proxy, for instance).
 * `declined`: the person closed the passkey dialog or let it run out.
 */
export type ClientErrorCode = ErrorCode | 'network' | 'unreadable' | 'declined';

interface ApiErrorOptions {
  readonly status?: number;
  readonly detail?: string | undefined;
  readonly requestId?: string | undefined;
  readonly fields?: Problem['fields'];
  readonly retryAfterS?: number | undefined;
  /** Authentication context that the server asks for (RFC 9470), e.g. `2`. */
  readonly acrValues?: string | undefined;
  readonly cause?: unknown;
}

/** A refusal as the server said it, for the screen to explain. */
export class ApiError extends Error {
  readonly code: ClientErrorCode;
  readonly status: number;
  readonly detail: string | undefined;
  readonly requestId: string | undefined;
  readonly fields: NonNullable<Problem['fields']>;
  readonly retryAfterS: number | undefined;
  readonly acrValues: string | undefined;

  constructor(code: ClientErrorCode, options: ApiErrorOptions = {}) {
    super(options.detail ?? code, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ApiError';
    this.code = code;
    this.status = options.status ?? 0;
    this.detail = options.detail;
    this.requestId = options.requestId;
    this.fields = options.fields ?? [];
    this.retryAfterS = options.retryAfterS;
    this.acrValues = options.acrValues;
  }
}

function isProblem(value: unknown): value is Problem {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Problem).code === 'string' &&
    typeof (value as Problem).status === 'number'
  );
}

/** Reads problem+json (RFC 9457); an answer in another form becomes `unreadable` with its status. */
export async function readProblem(response: Response): Promise<ApiError> {
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const acrValues = /acr_values="([^"]+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1];
  const parsed: unknown = await response.json().catch(() => undefined);
  if (!isProblem(parsed)) return new ApiError('unreadable', { status: response.status });
  return new ApiError(parsed.code, {
    status: parsed.status,
    detail: parsed.detail,
    requestId: parsed.requestId,
    fields: parsed.fields,
    retryAfterS: Number.isFinite(retryAfter) ? retryAfter : undefined,
    acrValues,
  });
}

/** Anything that was thrown, as an ApiError; a bug of ours keeps its own words as the detail. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof DOMException && ['NotAllowedError', 'AbortError'].includes(error.name)) {
    return new ApiError('declined', { cause: error });
  }
  return new ApiError('internal', {
    detail: error instanceof Error ? error.message : String(error),
    cause: error,
  });
}
