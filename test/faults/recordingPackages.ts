import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PendingUpdate } from '#contract/inventory.ts';
import type {
  InstallOutcome,
  InstallState,
  PackageFault,
  PackageOperation,
  PackageProvider,
} from '../../agent/src/host/packages.port.ts';

/** One line of a host's own record of what was really done to it. */
export interface Effect {
  readonly atMs: number;
  readonly kind: 'installed' | 'scanned' | 'restarted';
  readonly commandId: string;
  /** Version that is in place after it; of installations only. */
  readonly version?: string;
}

/** How the package manager of a host behaves now; read before each operation. */
export interface Behaviour {
  readonly mode: 'well' | 'hangs' | 'lies' | 'shouts';
  /** How long an installation takes, milliseconds; the change itself happens in the middle. */
  readonly installMs: number;
}

export const wellBehaved: Behaviour = { mode: 'well', installMs: 600 };
const packageName = 'app';
const firstVersion = '1.0-1';

export const effectsFile = (hostDirectory: string): string => path.join(hostDirectory, 'effects.log');
export const behaviourFile = (hostDirectory: string): string => path.join(hostDirectory, 'behaviour.json');

/** Appends to the host's own record, on the disk before it returns. */
export async function recordEffect(hostDirectory: string, effect: Effect): Promise<void> {
  const file = await open(effectsFile(hostDirectory), 'a');
  try {
    await file.appendFile(`${JSON.stringify(effect)}\n`);
    await file.datasync();
  } finally {
    await file.close();
  }
}

export async function readEffects(hostDirectory: string): Promise<Effect[]> {
  const text = await readFile(effectsFile(hostDirectory), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Effect);
}

/** Version of the package that is in place on a host, by its own record. */
export async function installedVersion(hostDirectory: string): Promise<string> {
  const effects = await readEffects(hostDirectory);
  return effects.findLast(({ kind }) => kind === 'installed')?.version ?? firstVersion;
}

function nextVersion(version: string): string {
  return `1.0-${Number(version.split('-')[1]) + 1}`;
}

const noise = 'é\u0000\u001b[31m\ud800\u202e\ufffe'.repeat(2_000);

/** A package manager of one package whose every change is a line in an append-only file. Nothing else of the machine is touched. */
export class RecordingPackages implements PackageProvider {
  readonly name = 'apt';
  readonly #directory: string;

  constructor(hostDirectory: string) {
    this.#directory = hostDirectory;
  }

  async #behaviour(): Promise<Behaviour> {
    const text = await readFile(behaviourFile(this.#directory), 'utf8').catch(() => '{}');
    return { ...wellBehaved, ...(JSON.parse(text) as Partial<Behaviour>) };
  }

  refresh(): Promise<null> {
    return Promise.resolve(null);
  }

  async listPending(): Promise<{ updates: PendingUpdate[]; fault: null }> {
    const fromVersion = await installedVersion(this.#directory);
    const version = nextVersion(fromVersion);
    const one = {
      ...{ name: packageName, arch: 'amd64', fromVersion, version, origin: 'recorded' },
      ...{ security: true, downloadBytes: 1000 },
      sha256: createHash('sha256').update(`${packageName} ${version}`).digest('hex'),
    };
    return { updates: [one], fault: null };
  }

  async checkReady(): Promise<PackageFault | null> {
    const { mode } = await this.#behaviour();
    // As a lock that nobody gives back: it ends with the process.
    if (mode === 'hangs') await new Promise(() => undefined);
    return null;
  }

  async download(operation: PackageOperation): Promise<{ fault: null; bytes: number }> {
    await this.#talk(operation);
    await delay(100);
    return { fault: null, bytes: 1000 };
  }

  async install(operation: PackageOperation): Promise<InstallOutcome> {
    const { mode, installMs } = await this.#behaviour();
    await this.#talk(operation);
    const changes = operation.packages.map(({ name, fromVersion, version }) => ({
      ...{ name, from: fromVersion, to: version },
    }));
    if (mode === 'lies') return { fault: null, changes };
    await delay(installMs / 2);
    for (const { version } of operation.packages) {
      const commandId = path.basename(operation.workDirectory);
      await recordEffect(this.#directory, { atMs: Date.now(), kind: 'installed', commandId, version });
    }
    await delay(installMs / 2);
    return { fault: null, changes };
  }

  /** Ten megabytes of what no terminal should be given. */
  async #talk({ onProgress }: PackageOperation): Promise<void> {
    if ((await this.#behaviour()).mode !== 'shouts') return;
    for (let round = 0; round < 300; round += 1) onProgress(noise.slice(0, 300), round % 101, [noise, noise]);
  }

  async installedVersions(): Promise<ReadonlyMap<string, string>> {
    return new Map([[`${packageName}:amd64`, await installedVersion(this.#directory)]]);
  }

  async inspectInstall({ packages }: Pick<PackageOperation, 'packages'>): Promise<InstallState> {
    const version = await installedVersion(this.#directory);
    return packages.every((one) => one.version === version) ? 'all' : 'none';
  }
}
