import { rename, stat } from 'node:fs/promises';
import type { StateDirectory } from './stateDirectory.ts';

/** A new identity begins a new history; the old one stays beside for people. */
export async function putJournalAside(state: StateDirectory): Promise<void> {
  const stamp = new Date().toISOString().replace(/[:.]/g, '-');
  for (const file of [state.journal, state.memory])
    if (await stat(file).catch(() => null)) await rename(file, `${file}.${stamp}`);
}
