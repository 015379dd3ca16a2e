import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { Value } from 'typebox/value';
import { EngineManifest } from '#contract/visit.ts';

/** What the runner needs on this machine, as `./atlas agentless install` leaves it. */
export interface Installation {
  readonly python: string;
  readonly manifest: EngineManifest;
  readonly archive: string;
}

/** Looks for the runner's parts; null when it was never installed here. Read at each job: it may come at any time. */
export async function findInstallation(directory: string): Promise<Installation | null> {
  const python = path.join(directory, 'venv', 'bin', 'python');
  const playbook = path.join(directory, 'venv', 'bin', 'ansible-playbook');
  const text = await readFile(path.join(directory, 'engine.json'), 'utf8').catch(() => null);
  if (text === null) return null;
  const manifest: unknown = JSON.parse(text);
  if (!Value.Check(EngineManifest, manifest)) return null;
  const archive = path.join(directory, manifest.archive);
  for (const needed of [python, playbook, archive])
    if ((await stat(needed).catch(() => null)) === null) return null;
  return { python, manifest, archive };
}
