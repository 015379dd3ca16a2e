import { showSubvolume } from '../guard/btrfs.ts';
import type { Drainage } from '../guard/drainage.ts';
import type { Guardian } from '../guard/guardian.ts';
import type { HostRunStore } from '../guard/hostRunStore.ts';
import { tellRollback } from '../guard/rollbackStory.ts';
import type { RollbackStory } from '../guard/rollbackStory.ts';
import { runHealthChecks } from '../host/health.ts';
import type { PackageProvider } from '../host/packages.port.ts';
import { log } from '../log.ts';
import { readStoredTarget, resumeOpenCommands } from './resumption.ts';
import type { ResumptionDeps } from './resumption.ts';
import type { HealthArgs } from '#contract/verbs.ts';

export interface PastDeps extends ResumptionDeps {
  readonly bootId: string;
  readonly startedAtMs: number;
  readonly provider: PackageProvider | null;
  readonly guardian: Guardian;
  readonly drainage: Drainage;
  readonly runs: HostRunStore;
}

/** A restart that takes longer than this to be checked is told as it is. */
const checksLimitMs = 1_200_000;

async function readRollbackHealth(deps: PastDeps, releaseId: string): Promise<HealthArgs | null> {
  const target = readStoredTarget(await deps.getBundle(releaseId));
  const order = target?.orders.find((one) => one.verb === 'guard.rollback');
  return order === undefined ? null : (order.args as HealthArgs);
}

/** Journals a rollback that is over; one that no command asked for gets its entries now. */
async function recordStory({ command, outcome }: RollbackStory, deps: PastDeps): Promise<void> {
  const { journal } = deps;
  const { commandId } = command;
  const at = new Date().toISOString();
  if (!journal.index.commands.has(commandId)) {
    await journal.append({ t: 'received', at, command });
    await journal.append({ t: 'started', commandId, at, intent: { bootId: deps.bootId } });
  }
  await journal.append({ t: 'restart', at, why: 'rollback' });
  if (journal.index.commands.get(commandId)?.state !== 'done') await deps.runner.finish(command, outcome);
  await deps.guardian.close();
}

/** What a former life left open: first the rollback that went through a restart, then every open command. */
export async function settlePast(deps: PastDeps): Promise<void> {
  // What arrives while the past is being settled belongs to this life: it waits for its turn.
  const past = deps.journal.index.open();
  const story = await tellRollback({
    guardian: deps.guardian,
    drainage: deps.drainage,
    runs: deps.runs,
    bootId: deps.bootId,
    agentStartedAtMs: deps.startedAtMs,
    readRootId: async () => (await showSubvolume('/')).id,
    healthOf: (releaseId) => readRollbackHealth(deps, releaseId),
    runChecks: (args) =>
      runHealthChecks(args, {
        provider: deps.provider,
        approved: [],
        signal: AbortSignal.timeout(checksLimitMs),
      }),
  });
  if (story !== null) {
    await recordStory(story, deps);
    const { rollbackBy, phasesMs } = story.outcome.facts;
    log('rollback.told', { by: rollbackBy, outcome: story.outcome.outcome, phasesMs });
  }
  await resumeOpenCommands(deps, past);
}
