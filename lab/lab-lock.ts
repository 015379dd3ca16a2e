import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { pollUntil } from './command.ts';
import { LabError } from './lab.errors.ts';
import type { LabPaths } from './lab-paths.ts';
import { getProcessIdentity, isSameProcessAlive } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

function readHolder(lockFile: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(lockFile, 'utf8')) as ProcessIdentity;
  } catch {
    // Released between two looks.
    return undefined;
  }
}

function tryLock(lockFile: string, own: ProcessIdentity): boolean {
  const claim = `${lockFile}.${own.pid}.${own.startTicks}`;
  writeFileSync(claim, JSON.stringify(own));
  try {
    // link(2) creates the lock with its content in one step, or fails when somebody holds it.
    linkSync(claim, lockFile);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(claim, { force: true });
  }
}

/**
 * Runs `work` while no other process changes this lab. Waits up to `waitMs`, then throws `lab_busy` with the holder's
 * pid; the lock of a process that died is taken over.
 */
export async function withLabLock<Result>(
  paths: LabPaths,
  work: () => Promise<Result>,
  waitMs = 120_000,
): Promise<Result> {
  const own = getProcessIdentity(process.pid);
  if (own === undefined) throw new Error('a running process has no entry in /proc');
  const taken = await pollUntil(() => {
    if (tryLock(paths.lockFile, own)) return true;
    const holder = readHolder(paths.lockFile);
    if (holder !== undefined && !isSameProcessAlive(holder)) rmSync(paths.lockFile, { force: true });
    return undefined;
  }, waitMs);
  if (taken === undefined) throw new LabError('lab_busy', `pid ${readHolder(paths.lockFile)?.pid ?? '?'}`);
  try {
    return await work();
  } finally {
    rmSync(paths.lockFile, { force: true });
  }
}
