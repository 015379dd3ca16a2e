import type { Guardian } from '../guard/guardian.ts';
import type { HostRunRecord, HostRunStore } from '../guard/hostRunStore.ts';

/** Re-arming more often than this would only wear the disk. */
const rearmEveryMs = 5000;
/** A connection that is away this long counts as cut off. */
const cutOffMs = 5000;

export interface SupervisorDeps {
  readonly guardian: Guardian;
  readonly runs: HostRunStore;
  readonly isLinkUp: () => boolean;
  readonly lastHeardMs: () => number | null;
  /** True when no command waits or runs: only the server could say what comes next. */
  readonly isIdle: () => boolean;
  /** When this agent began; silence from before its start is nobody's fault. */
  readonly startedAtMs: number;
  readonly onFault: (detail: string) => void;
}

/**
 * Watches an armed guard from inside the agent. It moves the guardian's deadline of silence while the server speaks,
 * and it decides a revert alone when the checks failed and nobody orders one. The guardian remains the last word.
 */
export class Supervisor {
  readonly #deps: SupervisorDeps;
  #rearmedAtMs = 0;
  #armedUntil: string | null = null;
  #isBusy = false;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
  }

  /** Deadline of the armed revert, for the heartbeat. */
  get armedUntil(): string | null {
    return this.#armedUntil;
  }

  /** One look; call it every second or two. */
  async tick(nowMs: number): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      await this.#look(nowMs);
    } finally {
      this.#isBusy = false;
    }
  }

  async #look(nowMs: number): Promise<void> {
    const { guardian, runs } = this.#deps;
    const armed = await guardian.readArmed();
    this.#armedUntil = armed === null ? null : new Date(armed.deadlineMs).toISOString();
    if (armed === null) return;
    const run = await runs.get(armed.hostRunId);
    if (run === null) return;
    if (run.verifyFailedAtMs !== null && this.#mustDecide(run.verifyFailedAtMs, run.silentS, nowMs)) {
      const fault = await guardian.fire({
        hostRunId: run.hostRunId,
        releaseId: run.releaseId,
        snapshotPath: armed.snapshotPath,
        by: 'agent',
        reason: run.verifyFailure ?? 'checks failed',
        commandId: null,
        detectedAtMs: run.verifyFailedAtMs,
      });
      if (fault !== null) this.#deps.onFault(fault);
      return;
    }
    if (this.#isAbandoned(run, nowMs)) {
      const fault = await guardian.fire({
        hostRunId: run.hostRunId,
        releaseId: run.releaseId,
        snapshotPath: armed.snapshotPath,
        by: 'guardian',
        reason: `no word from the server for ${run.silentS} s`,
        commandId: null,
        detectedAtMs: nowMs,
      });
      if (fault !== null) this.#deps.onFault(fault);
      return;
    }
    const heardMs = this.#deps.lastHeardMs() ?? 0;
    const mustMove = armed.silentDeadlineMs === null || heardMs > this.#rearmedAtMs;
    if (run.verifiedAtMs === null || !mustMove || nowMs - this.#rearmedAtMs < rearmEveryMs) return;
    this.#rearmedAtMs = nowMs;
    const silentDeadlineMs = Math.max(heardMs, run.verifiedAtMs) + run.silentS * 1000;
    await guardian.moveSilence(run.hostRunId, silentDeadlineMs);
  }

  /** A changed host whose checks nobody has ordered yet, with nothing under way and the server gone for too long. */
  #isAbandoned(run: HostRunRecord, nowMs: number): boolean {
    const { isIdle, isLinkUp, lastHeardMs, startedAtMs } = this.#deps;
    const waits = run.installedAtMs !== null && run.verifiedAtMs === null && run.verifyFailedAtMs === null;
    if (!waits || isLinkUp() || !isIdle()) return false;
    const sinceMs = Math.max(lastHeardMs() ?? startedAtMs, startedAtMs, run.installedAtMs ?? 0);
    return nowMs - sinceMs > run.silentS * 1000;
  }

  /** Red checks: at once when cut off, after the agreed silence when the server is there but says nothing. */
  #mustDecide(failedAtMs: number, silentS: number, nowMs: number): boolean {
    const isCutOff = !this.#deps.isLinkUp() && nowMs - (this.#deps.lastHeardMs() ?? 0) > cutOffMs;
    return isCutOff || nowMs - failedAtMs > silentS * 1000;
  }
}
