/** Why an enrolment ended without an identity. */
export type EnrolErrorCode =
  | 'token_malformed'
  | 'already_enrolled'
  | 'unreachable'
  | 'wrong_server'
  | 'refused'
  | 'answer_malformed'
  | 'certificate_wrong'
  | 'policy_wrong'
  | 'not_root';

/** Carries a code; the text that a person reads comes from the messages by code. */
export class EnrolError extends Error {
  readonly code: EnrolErrorCode;

  constructor(code: EnrolErrorCode, detail: string, options?: { cause?: unknown }) {
    super(detail, options);
    this.code = code;
  }
}
