import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Value } from 'typebox/value';
import { ReleaseBundle } from '#contract/trust.ts';
import { readJson, writeDurably } from '../state/durableFile.ts';

const keepMs = 60 * 86_400_000;
/** Bundles that nobody has verified yet are kept in memory only, and few: a hostile server cannot fill the disk. */
const maxUnverified = 8;

/** Bundles as they came, on disk, so that a rollback can read what people signed while the server is away. */
export class ReleaseStore {
  readonly #directory: string;
  readonly #unverified = new Map<string, ReleaseBundle>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  #path(releaseId: string): string {
    return path.join(this.#directory, `${releaseId}.json`);
  }

  /** Holds a bundle that did not verify, so that a command can be refused with the reason. */
  hold(releaseId: string, bundle: ReleaseBundle): void {
    this.#unverified.delete(releaseId);
    this.#unverified.set(releaseId, bundle);
    const oldest = this.#unverified.keys().next().value;
    if (this.#unverified.size > maxUnverified && oldest !== undefined) this.#unverified.delete(oldest);
  }

  /** Keeps a verified bundle; a newer one for the same release replaces it (its audit proof may be fresher). */
  async put(releaseId: string, bundle: ReleaseBundle): Promise<void> {
    await writeDurably(this.#path(releaseId), JSON.stringify(bundle));
    // Only now: a command that came right behind must find the bundle in one place or the other.
    if (this.#unverified.get(releaseId) === bundle) this.#unverified.delete(releaseId);
  }

  async get(releaseId: string): Promise<ReleaseBundle | null> {
    const held = this.#unverified.get(releaseId);
    if (held !== undefined) return held;
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
