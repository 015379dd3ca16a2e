import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createContext } from '../../cli/context.ts';
import type { CliContext } from '../../cli/context.ts';
import { resetLab } from '../../lab/reset-lab.ts';
import { stopDaemon } from '../../stack/daemon.ts';
import { findDirectories } from '../../stack/directories.ts';
import type { Directories } from '../../stack/directories.ts';
import { readJson } from '../../stack/files.ts';

// An installation of the tests' own: its services, people and machines; only downloads and builds are anyone's.

const prefix = 'atlas-e2e-';

/** The folder of this run; the configuration names it after the process of the runner. */
function folder(): string {
  const dir = process.env.ATLAS_E2E_DIR;
  if (dir === undefined) throw new Error('these tests run with test/e2e/playwright.config.ts');
  return dir;
}

export function findInstallation(): Directories {
  const { root, cacheDir } = findDirectories();
  return { root, cacheDir, stateDir: path.join(folder(), 'state') };
}

export function openContext(): CliContext {
  const { stateDir, cacheDir } = findInstallation();
  return createContext(['--lang', 'fr'], {
    ...process.env,
    ATLAS_STATE_DIR: stateDir,
    ATLAS_CACHE_DIR: cacheDir,
  });
}

/** What the first tests found out and the later ones need. */
export interface Installed {
  readonly url: string;
  readonly webDir: string;
  readonly debPath: string;
  readonly tenantId: string;
}

const notesFile = (): string => path.join(folder(), 'installed.json');

export function keepInstalled(installed: Installed): void {
  writeFileSync(notesFile(), JSON.stringify(installed));
}

export function readInstalled(): Installed {
  const installed = readJson<Installed>(notesFile());
  if (installed === undefined) throw new Error('the services did not come up');
  return installed;
}

export function makeFolder(): void {
  // Readable by all: PostgreSQL runs under its own name and has to pass through.
  mkdirSync(findInstallation().stateDir, { recursive: true, mode: 0o755 });
}

/** Stops what runs under a state directory and removes it, machines, mounts and bridges included. */
async function removeInstallation(dir: string): Promise<void> {
  const stateDir = path.join(dir, 'state');
  await stopDaemon(stateDir);
  if (existsSync(path.join(stateDir, 'lab'))) await resetLab(stateDir);
  rmSync(dir, { recursive: true, force: true });
}

export function removeOwnInstallation(): Promise<void> {
  return removeInstallation(folder());
}

/** Removes what runs left that were killed before they could clear up: their runner is no longer there. */
export async function removeAbandoned(): Promise<void> {
  for (const name of readdirSync(os.tmpdir()).filter((entry) => entry.startsWith(prefix))) {
    const pid = Number(name.slice(prefix.length));
    const dir = path.join(os.tmpdir(), name);
    const abandoned = Number.isInteger(pid) && !existsSync(`/proc/${pid}`);
    if (abandoned && existsSync(path.join(dir, 'state'))) await removeInstallation(dir);
  }
}
