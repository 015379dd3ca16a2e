import type { Command } from '#contract/agent-link.ts';
import type { CommandResult } from '#contract/results.ts';
import type { OrderStep } from '#contract/trust.ts';
import type { Intent, JournalRecord } from './journal.record.ts';

export type CommandState = 'received' | 'verified' | 'started' | 'done';

export interface JournalCommand {
  readonly command: Command;
  state: CommandState;
  receivedAt: string;
  startedAt: string | null;
  keepUntil: string | null;
  intent: Intent | null;
  result: CommandResult | null;
}

/** The journal's content as questions ask for it. Fed by records only, so that a restart rebuilds it exactly. */
export class JournalIndex {
  readonly commands = new Map<string, JournalCommand>();
  readonly fences = new Map<string, number>();
  /** Results that the server does not hold yet, by sequence. */
  readonly unheld = new Map<number, CommandResult>();
  restarts: string[] = [];
  lastSeq = 0;
  heldUpTo = 0;
  /** End of the latest released work, ms. */
  lastEndedAtMs = 0;

  /** Applies one record; `head` is the journal's hash after it, in hex. */
  apply(record: JournalRecord, head: string): void {
    switch (record.t) {
      case 'base':
        this.lastSeq = record.lastSeq;
        this.heldUpTo = record.heldUpTo;
        break;
      case 'received':
        this.commands.set(record.command.commandId, {
          command: record.command,
          state: 'received',
          receivedAt: record.at,
          startedAt: null,
          keepUntil: null,
          intent: null,
          result: null,
        });
        break;
      case 'verified':
        this.#applyVerified(record.commandId, record.keepUntil);
        break;
      case 'started':
        this.#change(record.commandId, { state: 'started', startedAt: record.at, intent: record.intent });
        break;
      case 'done':
        this.#applyDone(record.commandId, { ...record.result, journalHead: record.journalHead ?? head });
        break;
      case 'acked':
        this.#applyHeld(record.upTo);
        break;
      case 'restart':
        this.restarts.push(record.at);
        break;
    }
  }

  #change(commandId: string, change: Partial<JournalCommand>): void {
    const entry = this.commands.get(commandId);
    if (entry) Object.assign(entry, change);
  }

  #applyVerified(commandId: string, keepUntil: string): void {
    this.#change(commandId, { state: 'verified', keepUntil });
    const command = this.commands.get(commandId)?.command;
    if (command?.hostRunId == null) return;
    // Only a verified command may raise the fence: nobody else can lock the rightful owner out.
    this.fences.set(command.hostRunId, Math.max(command.fence, this.fences.get(command.hostRunId) ?? 0));
  }

  #applyDone(commandId: string, result: CommandResult): void {
    this.#change(commandId, { state: 'done', result });
    this.lastSeq = Math.max(this.lastSeq, result.seq);
    // Only work inside a signed window moves the floor of time: a clock that once ran wild cannot lock the host for ever.
    if (result.releaseId !== null && result.outcome !== 'refused')
      this.lastEndedAtMs = Math.max(this.lastEndedAtMs, Date.parse(result.endedAt));
    if (result.seq > this.heldUpTo) this.unheld.set(result.seq, result);
  }

  #applyHeld(upTo: number): void {
    this.heldUpTo = Math.max(this.heldUpTo, upTo);
    for (const seq of this.unheld.keys()) if (seq <= this.heldUpTo) this.unheld.delete(seq);
  }

  /** Steps of a host run of a release, oldest first; refused commands never began a step. */
  history(
    releaseId: string,
    hostRunId: string,
  ): { step: OrderStep; state: 'started' | 'succeeded' | 'failed' }[] {
    const steps = [...this.commands.values()].filter(
      ({ command, startedAt }) =>
        command.releaseId === releaseId && command.hostRunId === hostRunId && startedAt !== null,
    );
    return steps.flatMap(({ command, result }) => {
      if (command.step === null) return [];
      const ended = result?.outcome === 'succeeded' ? 'succeeded' : 'failed';
      return [{ step: command.step, state: result === null ? 'started' : ended } as const];
    });
  }

  /** Results behind a sequence, also held ones: a server that was put back to an older state asks for them again. */
  resultsAfter(seq: number): CommandResult[] {
    const bySeq = new Map(this.unheld);
    for (const { result } of this.commands.values()) if (result !== null) bySeq.set(result.seq, result);
    return [...bySeq.values()].filter((result) => result.seq > seq);
  }

  /** Commands accepted and not finished, oldest first. */
  open(): JournalCommand[] {
    return [...this.commands.values()].filter((entry) => entry.state !== 'done');
  }
}
