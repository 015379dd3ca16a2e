import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { writeDurably } from '../state/durableFile.ts';

/** Says that SSH drives the engine of this host: an agent that starts all the same ends at once. */
const markName = 'visited-only';

export async function isVisitedOnly(stateRoot: string): Promise<boolean> {
  return (await stat(path.join(stateRoot, markName)).catch(() => null)) !== null;
}

export async function markVisited(stateRoot: string): Promise<void> {
  await writeDurably(path.join(stateRoot, markName), `${new Date().toISOString()}\n`);
}

export async function unmarkVisited(stateRoot: string): Promise<void> {
  await rm(path.join(stateRoot, markName), { force: true });
}
