import path from 'node:path';
import { findDirectories } from '../../stack/directories.ts';
import { readJson, writeJson } from '../../stack/files.ts';
import type { Outcome } from './fault.ts';

/** The newest outcome of a fault on this machine, and how it came about. */
export interface Kept extends Outcome {
  readonly seed: number;
  readonly isSmoke: boolean;
  readonly at: string;
}

const file = path.join(findDirectories().stateDir, 'faults.json');

/** Newest outcomes of former runs, by title. */
export function readResults(): Record<string, Kept> {
  return readJson<Record<string, Kept>>(file) ?? {};
}

/** Keeps an outcome beside those of other faults, so that the table may be made of several runs. */
export function keepResult(
  outcome: Outcome,
  run: { readonly seed: number; readonly isSmoke: boolean },
): void {
  writeJson(file, {
    ...readResults(),
    [outcome.title]: { ...outcome, ...run, at: new Date().toISOString() },
  });
}
