import path from 'node:path';
import type { GuardCreateArgs } from '#contract/verbs.ts';
import { BtrfsError, readFreeBytes, showSubvolume, takeSnapshot } from '../guard/btrfs.ts';
import type { Subvolume } from '../guard/btrfs.ts';
import { cleanSnapshots } from '../guard/cleanup.ts';
import type { HostRunRecord } from '../guard/hostRunStore.ts';
import { fail, probeNatural, succeed } from '../runner/verb.ts';
import type { ProbeContext, VerbActions, VerbContext, VerbOutcome } from '../runner/verb.ts';
import type { VerbDeps } from './verbDeps.ts';

/** How long the script may take from its start to the end of this program. */
const rebootPatienceMs = 120_000;

function newRecord(context: VerbContext | ProbeContext, args: GuardCreateArgs): HostRunRecord {
  return {
    v: 1,
    hostRunId: context.command.hostRunId ?? '',
    releaseId: context.command.releaseId ?? '',
    runId: context.command.runId ?? '',
    fence: context.command.fence,
    tier: args.tier,
    snapshotPath: null,
    snapshotUuid: null,
    rootId: null,
    confirmWithinS: args.confirmWithinS,
    silentS: args.silentS,
    state: 'guarded',
    installedAtMs: null,
    verifyFailedAtMs: null,
    verifyFailure: null,
    verifiedAtMs: null,
    expiresAtMs: null,
  };
}

/** Reads the snapshot back: what was asked for is not what counts, what is there does. */
async function readBack(snapshotPath: string): Promise<Subvolume | null> {
  try {
    const snapshot = await showSubvolume(snapshotPath);
    return snapshot.isReadOnly ? snapshot : null;
  } catch (error) {
    if (error instanceof BtrfsError) return null;
    throw error;
  }
}

function factsOf(record: HostRunRecord, freeBytes: number) {
  return {
    freeBytes,
    ...(record.snapshotUuid === null
      ? {}
      : { snapshotId: record.hostRunId, snapshotUuid: record.snapshotUuid }),
  };
}

async function create(context: VerbContext, deps: VerbDeps): Promise<VerbOutcome> {
  const args = context.args as GuardCreateArgs;
  const freeBytes = await readFreeBytes('/');
  if (freeBytes < args.minFreeBytes)
    return fail('no_space', `${freeBytes} bytes free, ${args.minFreeBytes} wanted`, { freeBytes });
  const record = newRecord(context, args);
  if (args.tier === 'none') {
    await deps.runs.put(record);
    return succeed({ freeBytes }, 'ok', 'no snapshot, as it was signed');
  }
  const armed = await deps.guardian.readArmed();
  if (armed !== null && armed.hostRunId !== record.hostRunId)
    return fail('guard_failed', 'another host run still waits for its commit');
  const { tier, reason } = await deps.surveyGuard();
  if (tier !== 'btrfs') return fail('guard_failed', reason, { freeBytes });
  const snapshotPath = path.join(deps.state.snapshots, record.hostRunId);
  try {
    const root = await showSubvolume('/');
    await takeSnapshot('/', snapshotPath);
    const snapshot = await readBack(snapshotPath);
    if (snapshot === null)
      return fail('guard_failed', 'the snapshot cannot be read back as read-only', { freeBytes });
    const full = { ...record, snapshotPath, snapshotUuid: snapshot.uuid, rootId: root.id };
    await deps.runs.put(full);
    return succeed(factsOf(full, freeBytes));
  } catch (error) {
    if (error instanceof BtrfsError) return fail('guard_failed', error.message, { freeBytes });
    throw error;
  }
}

/** A snapshot whose record was not written yet is as good as none: the server may ask again. */
async function probeCreate(context: ProbeContext, deps: VerbDeps): Promise<VerbOutcome> {
  const record = await deps.runs.get(context.command.hostRunId ?? '');
  const isThere =
    record !== null && (record.snapshotPath === null || (await readBack(record.snapshotPath)) !== null);
  if (!isThere) return fail('crashed', 'the agent ended before the guard was complete');
  return succeed(factsOf(record, await readFreeBytes('/')), 'ok', 'found in place after the agent had ended');
}

async function commit(context: VerbContext, deps: VerbDeps): Promise<VerbOutcome> {
  const { keepHours } = context.args as { keepHours: number };
  const hostRunId = context.command.hostRunId ?? '';
  const record = await deps.runs.get(hostRunId);
  if (record === null) return fail('guard_missing', 'no guard is recorded for this host run');
  if (!(await deps.guardian.disarm()))
    return fail('guard_failed', 'the guardian has already begun to revert');
  await deps.runs.update(hostRunId, { state: 'committed', expiresAtMs: Date.now() + keepHours * 3_600_000 });
  await cleanSnapshots(deps.runs, Date.now());
  return succeed(factsOf(record, await readFreeBytes('/')), 'ok', `the snapshot is kept for ${keepHours} h`);
}

async function rollback(context: VerbContext, deps: VerbDeps): Promise<VerbOutcome> {
  const record = await deps.runs.get(context.command.hostRunId ?? '');
  if (record?.snapshotPath == null) return fail('guard_missing', 'no snapshot is recorded for this host run');
  if (record.state === 'rolled_back')
    return succeed({ rollbackBy: 'order' }, 'already_done', 'this run was rolled back');
  const fault = await deps.guardian.fire({
    hostRunId: record.hostRunId,
    releaseId: record.releaseId,
    snapshotPath: record.snapshotPath,
    by: 'order',
    reason: record.verifyFailure ?? 'ordered by the run',
    commandId: context.command.commandId,
    detectedAtMs: record.verifyFailedAtMs ?? Date.now(),
  });
  if (fault !== null) return fail('rollback_failed', fault, { rollbackBy: 'order' });
  await new Promise((resolve) => setTimeout(resolve, rebootPatienceMs));
  return fail('rollback_failed', 'the host did not restart', { rollbackBy: 'order' });
}

/**
 * A rollback that was decided goes on without the agent, and its own story ends it after the restart: to call it failed
 * before would be the last word about a host that then goes back.
 */
async function probeRollback({ command }: ProbeContext, deps: VerbDeps): Promise<VerbOutcome | null> {
  const firing = await deps.guardian.readFiring();
  if (firing?.commandId === command.commandId) return null;
  const detail = firing === null ? 'the rollback had not begun' : 'the host goes back for another reason';
  return fail('crashed', `the agent ended: ${detail}`, { rollbackBy: 'order' });
}

export function createGuardVerbs(deps: VerbDeps): Record<'create' | 'commit' | 'rollback', VerbActions> {
  return {
    create: { run: (context) => create(context, deps), probe: (context) => probeCreate(context, deps) },
    commit: { run: (context) => commit(context, deps), probe: probeNatural },
    rollback: { run: (context) => rollback(context, deps), probe: (context) => probeRollback(context, deps) },
  };
}
