import type { Command } from '#contract/agent-link.ts';
import type { CommandResult } from '#contract/results.ts';

/** A result before the journal's own hash is added to it. */
export type ResultBody = Omit<CommandResult, 'journalHead'>;

/** What must be known after a crash to say whether the effect happened. */
export interface Intent {
  readonly bootId: string;
}

/** Entries of the journal. RECEIVED, STARTED and DONE are on the disk before anything else happens. */
export type JournalRecord =
  | { readonly t: 'base'; readonly previousHead: string; readonly lastSeq: number; readonly heldUpTo: number }
  | { readonly t: 'received'; readonly at: string; readonly command: Command }
  | { readonly t: 'verified'; readonly commandId: string; readonly keepUntil: string }
  | { readonly t: 'started'; readonly commandId: string; readonly at: string; readonly intent: Intent }
  | {
      readonly t: 'done';
      readonly commandId: string;
      readonly result: ResultBody;
      /** Only after a compaction: the hash that the signed result carries. */
      readonly journalHead?: string;
    }
  | { readonly t: 'acked'; readonly upTo: number }
  | { readonly t: 'restart'; readonly at: string; readonly why: string };
