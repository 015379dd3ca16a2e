import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorCodes, type ErrorCode, type Problem } from '#contract/errors.ts';
import { sqlState } from '../db.ts';
import { AppError } from '../errors.ts';

/** Codes of Fastify that are the caller's doing. */
const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed_body',
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed_body',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'malformed_body',
  FST_ERR_BAD_URL: 'not_found',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
  FST_UNDER_PRESSURE: 'overloaded',
};

const unreachable = new Set(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE']);
// Query cancelled, too many connections, the server is going down or coming up.
const busyStates = new Set(['57014', '53300', '57P01', '57P02', '57P03']);

function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const { code, statusCode } = error as Partial<FastifyError>;
  const known = fastifyCodes[code ?? ''];
  if (known !== undefined) return new AppError(known, { cause: error });
  if (busyStates.has(sqlState(error) ?? '') || unreachable.has(code ?? '')) {
    return new AppError('overloaded', { cause: error, retryAfterS: 2 });
  }
  if (statusCode === 400) return new AppError('malformed_body', { cause: error });
  return new AppError('internal', { cause: error });
}

/** The body of an error answer (RFC 9457). */
export function toProblem(error: AppError, requestId: string): Problem {
  const { status, retryable } = errorCodes[error.code];
  return {
    type: `urn:atlas:error:${error.code}`,
    title: error.code.replaceAll('_', ' '),
    status,
    code: error.code,
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    requestId,
    retryable,
    ...(error.fields === undefined ? {} : { fields: error.fields.map((field) => ({ ...field })) }),
  };
}

/** Challenges as RFC 6750 and RFC 9470 write them. */
function challengeOf(error: AppError): string | null {
  if (error.code === 'unauthenticated') return 'Bearer';
  if (error.code === 'token_expired') return 'Bearer error="invalid_token"';
  if (error.code === 'step_up_required') {
    return 'Bearer error="insufficient_user_authentication", acr_values="3", max_age="300"';
  }
  return null;
}

/** Sends the problem; what is our own fault is logged here, once, with its cause. */
function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const refusal = toAppError(error);
  const problem = toProblem(refusal, request.id);
  if (problem.status >= 500) request.log.error({ err: refusal.cause ?? refusal }, 'a request failed');
  const challenge = challengeOf(refusal);
  if (challenge !== null) reply.header('www-authenticate', challenge);
  if (refusal.retryAfterS !== undefined) reply.header('retry-after', refusal.retryAfterS);
  else if (problem.retryable) reply.header('retry-after', 5);
  return reply
    .code(problem.status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(JSON.stringify(problem));
}

/** One error handler for everything that the server answers. */
export function installProblems(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply));
}
