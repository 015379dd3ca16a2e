import type { Command } from '#contract/agent-link.ts';
import type { ResultFacts } from '#contract/results.ts';
import type { HealthArgs } from '#contract/verbs.ts';
import type { CheckOutcome } from '../host/health.ts';
import { createUuid7 } from '../runner/uuid7.ts';
import { fail, succeed } from '../runner/verb.ts';
import type { VerbOutcome } from '../runner/verb.ts';
import type { Drainage } from './drainage.ts';
import type { FiringRevert, Guardian } from './guardian.ts';
import type { HostRunRecord, HostRunStore } from './hostRunStore.ts';

/** What the telling of a finished rollback needs from the host. */
export interface StoryDeps {
  readonly guardian: Guardian;
  readonly drainage: Drainage;
  readonly runs: HostRunStore;
  readonly bootId: string;
  readonly agentStartedAtMs: number;
  /** Subvolume that is the root now. */
  readonly readRootId: () => Promise<number>;
  /** Checks that people signed for the rollback of this run; null when the release cannot be read. */
  readonly healthOf: (releaseId: string) => Promise<HealthArgs | null>;
  readonly runChecks: (args: HealthArgs) => Promise<readonly CheckOutcome[]>;
}

/** A rollback told to its end: which command it answers, and how it went. */
export interface RollbackStory {
  readonly command: Command;
  /** True when no order asked for it: the agent makes up the command's id. */
  readonly isOwnDecision: boolean;
  readonly outcome: VerbOutcome;
}

function commandOf(commandId: string, run: HostRunRecord): Command {
  return {
    commandId,
    verb: 'guard.rollback',
    releaseId: run.releaseId,
    runId: run.runId,
    hostRunId: run.hostRunId,
    step: 'rollback',
    fence: run.fence,
  };
}

/** Milliseconds since trouble was detected, for each phase that was reached. */
export function phasesOf(
  firing: FiringRevert,
  reached: { rebootedAtMs: number; greenAtMs: number | null },
): Record<string, number> {
  const since = (atMs: number | null) => (atMs === null ? null : Math.max(0, atMs - firing.detectedAtMs));
  const phases = {
    detected: 0,
    decided: since(firing.decidedAtMs),
    switched: since(firing.switchedAtMs),
    rebooted: since(reached.rebootedAtMs),
    green: since(reached.greenAtMs),
  };
  return Object.fromEntries(
    Object.entries(phases).filter((entry): entry is [string, number] => entry[1] !== null),
  );
}

/** Nobody orders it any more: what was taken away for the change comes back with the host, before its checks. */
async function bringBack({ drainage }: StoryDeps): Promise<{ drained?: boolean; fault: string | null }> {
  if ((await drainage.read()) === null) return { fault: null };
  const fault = await drainage.undrain();
  return { drained: fault !== null, fault };
}

async function judge(firing: FiringRevert, run: HostRunRecord, deps: StoryDeps): Promise<VerbOutcome> {
  const { fault, ...drained } = await bringBack(deps);
  const base: ResultFacts = {
    bootIdBefore: firing.bootId,
    bootIdAfter: deps.bootId,
    rollbackBy: firing.by,
    rollbackReason: firing.reason.slice(0, 1000),
    ...drained,
    ...(run.snapshotUuid === null ? {} : { snapshotId: run.hostRunId, snapshotUuid: run.snapshotUuid }),
  };
  const rebootedAtMs = deps.agentStartedAtMs;
  if (firing.newRootId === null || (await deps.readRootId()) !== firing.newRootId)
    return fail('rollback_failed', 'the host did not start from the snapshot', base);
  const health = await deps.healthOf(run.releaseId);
  const checks = health === null ? [] : await deps.runChecks(health);
  const isGreen = checks.every((check) => check.ok);
  const phasesMs = phasesOf(firing, { rebootedAtMs, greenAtMs: isGreen ? Date.now() : null });
  const facts: ResultFacts = { ...base, phasesMs, checks: [...checks] };
  if (!isGreen)
    return fail('rollback_failed', 'the snapshot is in place, but its checks are not green', facts);
  return succeed(
    facts,
    'ok',
    `the host runs from its snapshot again; the update is quarantined for this run${fault === null ? '' : `; still drained: ${fault}`}`,
  );
}

/**
 * After a start: tells the end of a rollback that went through a restart, whoever decided it. Null when there is none,
 * or when its restart has not happened yet.
 */
export async function tellRollback(deps: StoryDeps): Promise<RollbackStory | null> {
  const firing = await deps.guardian.readFiring();
  if (firing === null || firing.bootId === deps.bootId) return null;
  const run = await deps.runs.get(firing.hostRunId);
  if (run === null) return null;
  // The id is noted before the tale is told, so that a crash in between does not tell it twice.
  const commandId = firing.commandId ?? createUuid7();
  if (firing.commandId === null) await deps.guardian.noteCommand(commandId);
  const outcome = await judge(firing, run, deps);
  const isDone = outcome.outcome === 'succeeded';
  await deps.runs.update(run.hostRunId, {
    state: isDone ? 'rolled_back' : 'rollback_failed',
    expiresAtMs: Date.now() + 7 * 86_400_000,
  });
  return { command: commandOf(commandId, run), isOwnDecision: firing.by !== 'order', outcome };
}
