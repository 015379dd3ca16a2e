import type { Command } from '#contract/agent-link.ts';
import type { Outcome, ResultCode, ResultFacts } from '#contract/results.ts';
import type { TargetDocument } from '#contract/trust.ts';
import type { Verb } from '#contract/verbs.ts';
import type { Intent } from '../journal/journal.record.ts';
import type { OnProgress } from '../host/packages.port.ts';

/** How a verb ended. */
export interface VerbOutcome {
  readonly outcome: Exclude<Outcome, 'refused'>;
  readonly code: ResultCode;
  readonly detail: string;
  readonly facts: ResultFacts;
}

/** What a verb may look at: the signed order's arguments and target, never the server's words. */
export interface VerbContext {
  readonly command: Command;
  readonly args: unknown;
  /** Null for verbs without a release. */
  readonly target: TargetDocument | null;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/** What is known after a crash between STARTED and DONE. */
export interface ProbeContext extends Omit<VerbContext, 'onProgress'> {
  readonly intent: Intent;
  readonly startedAtMs: number;
}

/**
 * One verb: `run` causes the effect at most once, `probe` tells whether it happened and never causes it. Null: it is still
 * under way without the agent, and its end will be told then.
 */
export interface VerbActions {
  run(context: VerbContext): Promise<VerbOutcome>;
  probe(context: ProbeContext): Promise<VerbOutcome | null>;
}

export type VerbTable = Readonly<Record<Verb, VerbActions>>;

export function succeed(facts: ResultFacts = {}, code: ResultCode = 'ok', detail = ''): VerbOutcome {
  return { outcome: 'succeeded', code, detail, facts };
}

export function fail(code: ResultCode, detail: string, facts: ResultFacts = {}): VerbOutcome {
  return { outcome: 'failed', code, detail, facts };
}

/** A person decides: the host cannot tell whether it happened. */
export function cannotTell(code: ResultCode, detail: string, facts: ResultFacts = {}): VerbOutcome {
  return { outcome: 'indeterminate', code, detail, facts };
}

/** For verbs that may simply be asked again: after a crash nothing is claimed. */
export const probeNatural: VerbActions['probe'] = () =>
  Promise.resolve(fail('crashed', 'the agent ended while the step ran; the step may be ordered again'));
