import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** The last checkpoint of each log, outside the database: what is compared with it after a start. */
export interface HeadMemory {
  /** The kept note, or null when there is none. */
  readonly read: (tenantId: string) => Promise<string | null>;
  /** Keeps the note; at most one write a second for each log, the newest wins. */
  readonly keep: (tenantId: string, note: string) => void;
  /** Writes what is still waiting. */
  readonly flush: () => Promise<void>;
}

const writeEveryMs = 1000;

/** Keeps one file `<tenantId>.checkpoint` for each log in `directory`. Removing a file is how a person accepts a restored, older log. */
export function createHeadMemory(directory: string, onError: (error: unknown) => void): HeadMemory {
  const waiting = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  const fileOf = (tenantId: string): string => path.join(directory, `${tenantId}.checkpoint`);

  const writeAll = async (): Promise<void> => {
    const batch = [...waiting];
    waiting.clear();
    if (batch.length > 0) await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const [tenantId, note] of batch) {
      const temporary = `${fileOf(tenantId)}.new`;
      await writeFile(temporary, note, { mode: 0o600 });
      await rename(temporary, fileOf(tenantId));
    }
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(writeAll).catch(onError);
    return writing;
  };

  return {
    read: async (tenantId) => {
      try {
        return await readFile(fileOf(tenantId), 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw new Error(`the kept checkpoint of ${tenantId} cannot be read`, { cause: error });
      }
    },
    keep: (tenantId, note) => {
      waiting.set(tenantId, note);
      timer ??= setTimeout(() => void flush(), writeEveryMs).unref();
    },
    flush,
  };
}
