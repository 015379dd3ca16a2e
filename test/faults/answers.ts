import { storedResults } from '../../server/src/features/commands/commands.results.ts';
import type { Installation } from './installation.ts';

/** One result that the server holds, from the very bytes that the agent signed. */
export interface Answer {
  readonly agentId: string;
  readonly seq: number;
  readonly commandId: string;
  readonly outcome: string;
  /** The entry of the audit log that speaks of it with others; null for an order, which has an entry of its own. */
  readonly entryId: string | null;
}

interface FrameRow {
  readonly agentId: string;
  readonly first: number;
  readonly last: number;
  readonly entryId: string | null;
  readonly payload: Buffer;
}

/** Everything that agents have answered. A frame may repeat what was held: only what it added counts. */
export async function readAnswers(installation: Installation): Promise<Answer[]> {
  const frames = await installation.query<FrameRow>(
    `select agent_id as "agentId", first_seq::int as first, last_seq::int as last, entry_id as "entryId", payload
     from result_frames order by agent_id, first_seq`,
  );
  return frames.flatMap(({ agentId, first, last, entryId, payload }) =>
    storedResults(payload)
      .filter(({ seq }) => seq >= first && seq <= last)
      .map(({ seq, commandId, outcome, hostRunId }) => ({
        ...{ agentId, seq, commandId, outcome },
        entryId: hostRunId === null ? entryId : null,
      })),
  );
}
