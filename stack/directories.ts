import { createHash } from 'node:crypto';
import path from 'node:path';

/** Where everything of one installation lives. Two installations share nothing but a cache. */
export type Directories = {
  /** The repository. */
  root: string;
  /** Everything made at run time; `./atlas reset` removes it. */
  stateDir: string;
  /** Downloads and builds that can be made again. */
  cacheDir: string;
};

const root = path.resolve(import.meta.dirname, '..');

/** Reads ATLAS_STATE_DIR and ATLAS_CACHE_DIR; the default is `.atlas` in the repository. */
export function findDirectories(env: NodeJS.ProcessEnv = process.env): Directories {
  const stateDir = path.resolve(env.ATLAS_STATE_DIR ?? path.join(root, '.atlas'));
  const cacheDir = path.resolve(env.ATLAS_CACHE_DIR ?? path.join(root, '.atlas', 'cache'));
  return { root, stateDir, cacheDir };
}

/** Six hexadecimal digits that name this installation on a machine (bridges, containers). */
export function createInstallationTag(stateDir: string): string {
  return createHash('sha256').update(path.resolve(stateDir)).digest('hex').slice(0, 6);
}
