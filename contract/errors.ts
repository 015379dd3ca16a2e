import { Type, type Static } from 'typebox';
import { Line, Strict } from '#contract/schema.ts';

interface ErrorSpec {
  readonly status: number;
  /** True when the same request may succeed later without a change. */
  readonly retryable: boolean;
}

/** Every error a client can meet. The text a person reads comes from the message catalogue by code. */
export const errorCodes = {
  invalid_request: { status: 400, retryable: false },
  malformed_body: { status: 400, retryable: false },
  unauthenticated: { status: 401, retryable: false },
  token_expired: { status: 401, retryable: false },
  step_up_required: { status: 401, retryable: false },
  forbidden: { status: 403, retryable: false },
  origin_refused: { status: 403, retryable: false },
  not_found: { status: 404, retryable: false },
  method_not_allowed: { status: 405, retryable: false },
  conflict: { status: 409, retryable: false },
  already_exists: { status: 409, retryable: false },
  transition_refused: { status: 409, retryable: false },
  enrolment_token_unusable: { status: 409, retryable: false },
  guard_unavailable: { status: 409, retryable: false },
  frozen: { status: 409, retryable: false },
  plan_impossible: { status: 409, retryable: false },
  nothing_to_install: { status: 409, retryable: false },
  hosts_unavailable: { status: 409, retryable: false },
  precondition_failed: { status: 412, retryable: false },
  payload_too_large: { status: 413, retryable: false },
  unsupported_media_type: { status: 415, retryable: false },
  signature_refused: { status: 422, retryable: false },
  policy_refused: { status: 422, retryable: false },
  precondition_required: { status: 428, retryable: false },
  rate_limited: { status: 429, retryable: true },
  internal: { status: 500, retryable: false },
  overloaded: { status: 503, retryable: true },
  audit_unavailable: { status: 503, retryable: true },
  identity_provider_unavailable: { status: 503, retryable: true },
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof errorCodes;

/** Problem details (RFC 9457) with ATLAS's code, the fields at fault and the request's id for support. */
export const Problem = Strict({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.Unsafe<ErrorCode>({ type: 'string', enum: Object.keys(errorCodes) }),
  detail: Type.Optional(Type.String()),
  requestId: Type.String(),
  retryable: Type.Boolean(),
  fields: Type.Optional(Type.Array(Strict({ path: Type.String(), rule: Line(100), message: Type.String() }))),
});
export type Problem = Static<typeof Problem>;
