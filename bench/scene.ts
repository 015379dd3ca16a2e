import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import path from 'node:path';

/** What all scenarios share: a state directory of their own, and the conditions under which they ran. */

export const round = (value: number): number => Math.round(value * 10) / 10;

/** Load averages over 1, 5 and 15 minutes. */
export const loadNow = (): number[] => loadavg().map(round);

/** The machine, for whoever reads the figures. */
export function machineOf(loadBefore: readonly number[]) {
  return { cpus: cpus().length, loadBefore, loadAfter: loadNow(), node: process.version };
}

/** Runs a scenario in a directory that is gone afterwards. */
export async function inStateDir(scenario: (stateDir: string) => Promise<void>): Promise<void> {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'atlas-bench-'));
  try {
    await scenario(stateDir);
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}
