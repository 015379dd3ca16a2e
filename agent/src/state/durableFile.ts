import { open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';

/** Makes a rename or creation in a directory survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function replaceFile(file: string, content: string | Uint8Array, mode: number): Promise<void> {
  const temporary = `${file}.new`;
  const handle = await open(temporary, 'w', mode);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncDirectory(path.dirname(file));
}

/** Last write under way to each file: writers of one file take turns, for they share its temporary name. */
const writing = new Map<string, Promise<void>>();

/** Replaces a file whole: a reader and a power cut see the old content or the new one, nothing between. The last caller wins. */
export async function writeDurably(file: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const before = writing.get(file) ?? Promise.resolve();
  // Whether the write before ours went well is its own caller's matter.
  const mine = before.catch(() => undefined).then(() => replaceFile(file, content, mode));
  writing.set(file, mine);
  try {
    await mine;
  } finally {
    if (writing.get(file) === mine) writing.delete(file);
  }
}

/** Reads a JSON file that this agent wrote; null when there is none. */
export async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`${file} cannot be read`, { cause: error });
  }
}
