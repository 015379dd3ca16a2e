import type { Envelope } from '#contract/dsse.ts';
import { unpackResults, type CommandResult, type ResultBatch } from '#contract/results.ts';

/** What an agent signed, without a look at the signature. */
export function readResults({ payload }: Pick<Envelope, 'payload'>): CommandResult[] {
  return unpackResults(JSON.parse(Buffer.from(payload, 'base64url').toString()) as ResultBatch);
}
