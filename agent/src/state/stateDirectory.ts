import { mkdir } from 'node:fs/promises';
import path from 'node:path';

/** Where the agent keeps everything: one directory, outside the part of the disk that a rollback turns back. */
export interface StateDirectory {
  readonly root: string;
  readonly identity: string;
  readonly journal: string;
  readonly memory: string;
  readonly releases: string;
  readonly runs: string;
  readonly work: string;
  readonly guardian: string;
  readonly snapshots: string;
  readonly versions: string;
}

export const defaultStateRoot = '/var/lib/atlas-agent';

export function locateState(root: string): StateDirectory {
  const at = (name: string) => path.join(root, name);
  return {
    root,
    identity: at('identity'),
    journal: at('journal'),
    memory: at('memory.json'),
    releases: at('releases'),
    runs: at('runs'),
    work: at('work'),
    guardian: at('guardian'),
    snapshots: at('snapshots'),
    versions: at('versions'),
  };
}

/** Makes what is missing; nobody but root reads any of it. */
export async function prepareState(state: StateDirectory): Promise<void> {
  for (const directory of [
    state.root,
    state.releases,
    state.runs,
    state.work,
    state.guardian,
    state.snapshots,
    state.versions,
  ])
    await mkdir(directory, { recursive: true, mode: 0o700 });
}
