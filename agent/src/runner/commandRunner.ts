import { isDeepStrictEqual } from 'node:util';
import { Value } from 'typebox/value';
import type { Command } from '#contract/agent-link.ts';
import { CommandResult } from '#contract/results.ts';
import type { ResultFacts } from '#contract/results.ts';
import type { ReleaseBundle, TargetDocument } from '#contract/trust.ts';
import { verbCatalogue } from '#contract/verbs.ts';
import type { Journal } from '../journal/journal.ts';
import type { JournalCommand } from '../journal/journal.index.ts';
import type { ResultBody } from '../journal/journal.record.ts';
import type { AgentSelf, AgentView } from '../verify/agentView.ts';
import type { LogProof } from '../verify/auditLog.check.ts';
import { verifyReadCommand, verifyReleasedCommand } from '../verify/command.verify.ts';
import { isRefusal, refuse } from '../verify/refusal.ts';
import type { Refusal } from '../verify/refusal.ts';
import { fail } from './verb.ts';
import type { VerbOutcome, VerbTable } from './verb.ts';

/** Ids are kept this long after their window, so that nothing signed can come back. */
export const keepAfterWindowMs = 30 * 86_400_000;
/** After a time-out, how long a verb may take to put its tools down. */
const graceMs = 30_000;

/** Where a command is, for people. */
export interface Progress {
  readonly phase: string;
  readonly percent: number | null;
  readonly lines: readonly string[];
}

export interface RunnerDeps {
  readonly self: AgentSelf;
  readonly bootId: string;
  readonly journal: Journal;
  readonly verbs: VerbTable;
  readonly view: () => AgentView;
  readonly getBundle: (releaseId: string) => Promise<ReleaseBundle | null>;
  /** Waits a moment for the first word about the lock after a start. */
  readonly lockSeen: () => Promise<void>;
  readonly onVerified: (log: LogProof) => Promise<void>;
  readonly onResult: (result: CommandResult) => void;
  readonly onEnded: (command: Command, outcome: VerbOutcome) => Promise<void>;
  readonly onProgress: (command: Command, progress: Progress) => void;
  readonly onAlarm: (code: string, detail: string) => void;
}

const anyHead = '0'.repeat(64);

/** Text that programs printed, as the contract lets it through. */
export function asProse(text: string, maxLength = 4000): string {
  return text.replace(/[^\P{C}\n\t]/gu, ' ').slice(0, maxLength);
}

/** A result must reach the server whatever a program printed: facts that do not fit are left out, and that is said. */
function toContract(body: ResultBody): ResultBody {
  if (Value.Check(CommandResult, { ...body, journalHead: anyHead })) return body;
  return {
    ...body,
    facts: {},
    detail: `facts outside the contract were left out; ${body.detail}`.slice(0, 4000),
  };
}

/** What was verified and may be done. */
interface Work {
  readonly args: unknown;
  readonly target: TargetDocument | null;
  readonly keepUntil: string;
}

/**
 * Takes commands through RECEIVED, VERIFIED, STARTED, DONE. Reads run side by side; released steps run one after the
 * other. It promises that an id runs at most once; a repeated delivery only repeats the stored result.
 */
export class CommandRunner {
  readonly #deps: RunnerDeps;
  #lane: Promise<void>;

  /** Released steps wait until `ready`: what a former life left open is judged first. */
  constructor(deps: RunnerDeps, ready: Promise<void>) {
    this.#deps = deps;
    this.#lane = ready;
  }

  /** Takes a delivery. Resolves when the command has ended; never rejects. */
  async accept(command: Command): Promise<void> {
    const { journal } = this.#deps;
    const known = journal.index.commands.get(command.commandId);
    if (known) {
      this.#repeat(known, command);
      return;
    }
    await journal.append({ t: 'received', at: new Date().toISOString(), command });
    if (command.releaseId === null) {
      await this.#take(command);
      return;
    }
    this.#lane = this.#lane.then(() => this.#take(command));
    await this.#lane;
  }

  #repeat(known: JournalCommand, command: Command): void {
    if (!isDeepStrictEqual(known.command, command))
      this.#deps.onAlarm('replayed', `command ${command.commandId} came again with other content`);
    else if (known.result !== null) this.#deps.onResult(known.result);
  }

  async #take(command: Command): Promise<void> {
    try {
      await this.#verifyAndRun(command);
    } catch (error) {
      // The journal itself failed: nothing can be promised any more, and nothing was begun after the failure.
      this.#deps.onAlarm('journal_failed', String(error));
    }
  }

  async #verifyAndRun(command: Command): Promise<void> {
    const { journal, bootId } = this.#deps;
    const work = await this.#verify(command);
    if (isRefusal(work)) {
      await this.finish(command, { outcome: 'refused', ...work, facts: {} });
      return;
    }
    const { commandId } = command;
    await journal.append({ t: 'verified', commandId, keepUntil: work.keepUntil });
    await journal.append({ t: 'started', commandId, at: new Date().toISOString(), intent: { bootId } });
    const outcome = await this.#run(command, work);
    await this.finish(command, outcome);
    await this.#deps.onEnded(command, outcome);
  }

  async #verify(command: Command): Promise<Work | Refusal> {
    if (command.releaseId === null) {
      const refusal = verifyReadCommand(command, this.#deps.view());
      const keepUntil = new Date(Date.now() + keepAfterWindowMs).toISOString();
      return refusal ?? { args: {}, target: null, keepUntil };
    }
    const bundle = await this.#deps.getBundle(command.releaseId);
    if (bundle === null) return refuse('order_not_released', 'no release with this id was handed over');
    await this.#deps.lockSeen();
    const verdict = verifyReleasedCommand(command, bundle, this.#deps.view());
    if (isRefusal(verdict)) return verdict;
    await this.#deps.onVerified(verdict.log);
    const keepUntil = new Date(Date.parse(verdict.release.notAfter) + keepAfterWindowMs).toISOString();
    return { args: verdict.order.args, target: verdict.target, keepUntil };
  }

  async #run(command: Command, work: Work): Promise<VerbOutcome> {
    const controller = new AbortController();
    const limitMs = verbCatalogue[command.verb].timeoutS * 1000;
    let expiry: NodeJS.Timeout | undefined;
    const timedOut = new Promise<VerbOutcome>((resolve) => {
      expiry = setTimeout(() => {
        controller.abort();
        const late: VerbOutcome = {
          outcome: 'timeout',
          code: 'timed_out',
          detail: `not done in ${limitMs / 1000} s`,
          facts: {},
        };
        setTimeout(() => resolve(late), graceMs).unref();
      }, limitMs);
    });
    const running = this.#deps.verbs[command.verb]
      .run({
        command,
        args: work.args,
        target: work.target,
        signal: controller.signal,
        onProgress: (phase, percent, lines = []) => this.#deps.onProgress(command, { phase, percent, lines }),
      })
      .catch((error: unknown) => fail('internal', String(error)));
    const outcome = await Promise.race([running, timedOut]);
    clearTimeout(expiry);
    return outcome;
  }

  /** Writes the end of a command and hands its result to the link. */
  async finish(
    command: Command,
    end: {
      outcome: CommandResult['outcome'];
      code: CommandResult['code'];
      detail: string;
      facts: ResultFacts;
    },
  ): Promise<void> {
    const { journal, self, bootId } = this.#deps;
    const { commandId, verb, releaseId, runId, hostRunId, step, fence } = command;
    const seq = journal.index.lastSeq + 1;
    const written = journal.append({
      t: 'done',
      commandId,
      result: toContract({
        v: 1,
        seq,
        agent: self.agentId,
        host: self.hostId,
        commandId,
        verb,
        releaseId,
        runId,
        hostRunId,
        step,
        fence,
        ...end,
        detail: asProse(end.detail),
        startedAt: journal.index.commands.get(commandId)?.startedAt ?? null,
        endedAt: new Date().toISOString(),
        bootId,
      }),
    });
    await written;
    const result = journal.index.commands.get(commandId)?.result;
    if (result) this.#deps.onResult(result);
  }
}
