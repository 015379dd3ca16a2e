import { stat } from 'node:fs/promises';
import { BtrfsError, deleteSubvolume, deleteSubvolumeById, getDefaultId, showSubvolume } from './btrfs.ts';
import type { HostRunRecord, HostRunStore } from './hostRunStore.ts';

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Removes a root that no start will use again: the broken one after a rollback, or the one a later rollback left. */
async function deleteRoot(id: number, current: { rootId: number; defaultId: number }): Promise<void> {
  const topLevelId = 5;
  if (id === current.rootId || id === current.defaultId || id === topLevelId) return;
  await deleteSubvolumeById(id, '/');
}

async function cleanRun(run: HostRunRecord): Promise<void> {
  const current = { rootId: (await showSubvolume('/')).id, defaultId: await getDefaultId('/') };
  if (run.snapshotPath !== null && (await exists(run.snapshotPath))) await deleteSubvolume(run.snapshotPath);
  if (run.state === 'rolled_back' && run.rootId !== null) await deleteRoot(run.rootId, current);
}

/**
 * Removes snapshots and broken roots whose time is over. One that cannot be removed is tried again the next time.
 * @returns what could not be removed, in words.
 */
export async function cleanSnapshots(runs: HostRunStore, nowMs: number): Promise<string[]> {
  const faults: string[] = [];
  for (const run of await runs.list()) {
    if (run.expiresAtMs === null || run.expiresAtMs > nowMs) continue;
    try {
      if (run.tier === 'btrfs') await cleanRun(run);
      await runs.remove(run.hostRunId);
    } catch (error) {
      if (!(error instanceof BtrfsError)) throw error;
      faults.push(`${run.hostRunId}: ${error.message}`);
    }
  }
  return faults;
}
