import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseCheckpointText } from '../../platform/audit/checkpoint.ts';
import { parseNote } from '../../platform/audit/note.ts';
import { listLogFiles, logFilePath } from '../../platform/audit/tiles.ts';

/** Where the files of a log come from. */
export interface LogFiles {
  readonly file: (tenantId: string, path: string) => Promise<Uint8Array>;
  readonly state: (tenantId: string) => Promise<{ readonly publicKey: string }>;
}

/** Name of the file with the verifier key beside the log's own files. */
const keyFile = 'log.vkey';

async function write(directory: string, name: string, content: Uint8Array | string): Promise<void> {
  const file = path.join(directory, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
}

/**
 * Copies a tenant's log into a directory as C2SP tlog-tiles, with its verifier key in `log.vkey`.
 * The checkpoint is read first and written last: what it promises is there. Errors: not_found when nothing is sealed.
 */
export async function exportLog(
  log: LogFiles,
  tenantId: string,
  directory: string,
): Promise<{ size: number; rootSha256: string }> {
  const checkpoint = Buffer.from(await log.file(tenantId, 'checkpoint'));
  const { size, root } = parseCheckpointText(parseNote(checkpoint.toString('utf8')).text);
  await write(directory, keyFile, `${(await log.state(tenantId)).publicKey}\n`);
  for (const file of listLogFiles(size)) {
    const name = logFilePath(file);
    if (file.kind !== 'checkpoint') await write(directory, name, await log.file(tenantId, name));
  }
  await write(directory, 'checkpoint', checkpoint);
  return { size, rootSha256: root.toString('hex') };
}
