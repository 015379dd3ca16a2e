import type { ResultCode } from '#contract/results.ts';

/** The first check that failed, and why in words for the audit log. A refusal is data, never an exception. */
export interface Refusal {
  readonly code: ResultCode;
  readonly detail: string;
}

export function refuse(code: ResultCode, detail: string): Refusal {
  return { code, detail };
}

export function isRefusal(value: object): value is Refusal {
  return 'code' in value && 'detail' in value;
}
