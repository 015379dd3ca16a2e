import type { Envelope } from '#contract/dsse.ts';
import { unpackResults, type CommandResult, type ResultBatch } from '#contract/results.ts';

/** What an agent signed, without a look at the signature. */
export function readResults({ payload }: Pick<Envelope, 'payload'>): CommandResult[] {
  return unpackResults(JSON.parse(Buffer.from(payload, 'base64url').toString()) as ResultBatch);
}

/** A table, for `from`: one row for each result that the server holds, read from the bytes that agents have signed. */
export const heldResults = `(
  select f.tenant_id, f.agent_id, (r->>'seq')::int as seq, (r->>'commandId')::uuid as command_id,
    r->>'outcome' as outcome, r->>'code' as code, f.entry_id
  from result_frames f cross join jsonb_array_elements(convert_from(f.payload, 'UTF8')::jsonb->'results') r
  where (r->>'seq')::bigint between f.first_seq and f.last_seq)`;
