import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Value } from 'typebox/value';
import { ReleaseBundle } from '#contract/trust.ts';
import { readJson, writeDurably } from '../state/durableFile.ts';

const keepMs = 60 * 86_400_000;

/** Bundles as they came, on disk, so that a rollback can read what people signed while the server is away. */
export class ReleaseStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  #path(releaseId: string): string {
    return path.join(this.#directory, `${releaseId}.json`);
  }

  /** Keeps a bundle; a newer one for the same release replaces it (its audit proof may be fresher). */
  async put(releaseId: string, bundle: ReleaseBundle): Promise<void> {
    await writeDurably(this.#path(releaseId), JSON.stringify(bundle));
  }

  async get(releaseId: string): Promise<ReleaseBundle | null> {
    const stored = await readJson(this.#path(releaseId));
    return Value.Check(ReleaseBundle, stored) ? stored : null;
  }

  /** Removes bundles that no window can still need. */
  async prune(nowMs: number): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      const file = path.join(this.#directory, name);
      if (nowMs - (await stat(file)).mtimeMs > keepMs) await rm(file, { force: true });
    }
  }
}
