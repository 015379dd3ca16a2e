import type { ReleaseBundle } from '#contract/trust.ts';
import { TargetDocument } from '#contract/trust.ts';
import { Value } from 'typebox/value';
import type { JournalCommand } from '../journal/journal.index.ts';
import type { Journal } from '../journal/journal.ts';
import { decodeBase64Url } from '../trust/bytes.ts';
import { parseDocument } from '../verify/release.check.ts';
import type { CommandRunner } from './commandRunner.ts';
import { fail } from './verb.ts';
import type { VerbOutcome, VerbTable } from './verb.ts';

export interface ResumptionDeps {
  readonly journal: Journal;
  readonly runner: CommandRunner;
  readonly verbs: VerbTable;
  readonly getBundle: (releaseId: string) => Promise<ReleaseBundle | null>;
}

/** Reads the target of a bundle that was verified when the step began. */
export function readStoredTarget(bundle: ReleaseBundle | null): TargetDocument | null {
  const bytes = bundle === null ? null : decodeBase64Url(bundle.target);
  const parsed = bytes === null ? { fault: 'none' } : parseDocument(bytes);
  return 'value' in parsed && Value.Check(TargetDocument, parsed.value) ? parsed.value : null;
}

async function judge(entry: JournalCommand, deps: ResumptionDeps): Promise<VerbOutcome | null> {
  const { command, intent, startedAt } = entry;
  if (entry.state !== 'started' || intent === null || startedAt === null)
    return fail('crashed', 'the agent ended before the step began; nothing was done');
  const bundle = command.releaseId === null ? null : await deps.getBundle(command.releaseId);
  const target = readStoredTarget(bundle);
  const order = target?.orders.find((one) => one.step === command.step && one.verb === command.verb);
  return deps.verbs[command.verb]
    .probe({
      command,
      intent,
      target,
      args: order?.args ?? {},
      startedAtMs: Date.parse(startedAt),
      signal: AbortSignal.timeout(3_600_000),
    })
    .catch((error: unknown) => fail('internal', `probe: ${String(error)}`));
}

/**
 * After a start: says of every open command whether its effect happened. Each ends done, not run, or indeterminate, but for
 * one that goes on without the agent; none is run again.
 */
export async function resumeOpenCommands(
  deps: ResumptionDeps,
  past: readonly JournalCommand[] = deps.journal.index.open(),
): Promise<void> {
  for (const entry of past) {
    if (entry.state === 'done') continue;
    const outcome = await judge(entry, deps);
    if (outcome !== null) await deps.runner.finish(entry.command, outcome);
  }
}
