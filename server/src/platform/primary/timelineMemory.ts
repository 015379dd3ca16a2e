import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import type { SeenTimeline } from './primary.policy.ts';

/** The newest timeline that was written to, on the disk: a former primary is known as one also after a restart. */
export interface TimelineMemory {
  /** Null when nothing has been kept yet. Throws when the file cannot be read: guessing would defeat it. */
  readonly read: () => Promise<SeenTimeline | null>;
  /** Resolves when it is on the disk. */
  readonly keep: (seen: SeenTimeline) => Promise<void>;
}

/** Keeps one small file. Removing it is how a person accepts an older or another database. */
export function createTimelineMemory(file: string): TimelineMemory {
  return {
    read: async () => {
      try {
        const { systemId, timeline } = JSON.parse(await readFile(file, 'utf8')) as Partial<SeenTimeline>;
        if (typeof systemId !== 'string' || typeof timeline !== 'number')
          throw new Error('it has another form');
        return { systemId, timeline };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw new Error(`the remembered timeline in ${file} cannot be read`, { cause: error });
      }
    },
    keep: async (seen) => {
      await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      const fresh = `${file}.new`;
      const handle = await open(fresh, 'w', 0o600);
      try {
        await handle.writeFile(JSON.stringify(seen));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(fresh, file);
    },
  };
}
