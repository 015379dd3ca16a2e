import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Api } from '../api.ts';
import { tilePath, tileWidth } from './logTree.ts';

/** Files of a log of `size` entries below its directory (C2SP tlog-tiles): bundles of entries, then tiles level by level. */
export function listLogFiles(size: number): string[] {
  const row = (level: number | 'entries', count: number): string[] =>
    Array.from({ length: Math.ceil(count / tileWidth) }, (_, index) =>
      tilePath(level, index, Math.min(tileWidth, count - index * tileWidth)),
    );
  const paths = row('entries', size);
  for (let level = 0, count = size; count > 0; level += 1, count = Math.floor(count / tileWidth)) {
    paths.push(...row(level, count));
  }
  return paths;
}

/** Copies a tenant's log through the API, its verifier key beside it. The checkpoint is read first and written last. */
export async function downloadLog(
  api: Api,
  tenantId: string,
  directory: string,
): Promise<{ size: number; directory: string }> {
  const read = (name: string): Promise<Buffer> =>
    api.download('getAuditFile', { params: { tenantId, '*': name } });
  const write = async (name: string, content: string | Buffer): Promise<void> => {
    const file = path.join(directory, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  };
  const checkpoint = await read('checkpoint');
  // Second line of a checkpoint: the size of the tree.
  const size = Number(checkpoint.toString('utf8').split('\n')[1]);
  if (!Number.isSafeInteger(size)) throw new Error(`the checkpoint of ${tenantId} states no size`);
  const { publicKey } = await api.call('getAuditState', { params: { tenantId } });
  await write('log.vkey', `${publicKey}\n`);
  for (const name of listLogFiles(size)) await write(name, await read(name));
  await write('checkpoint', checkpoint);
  return { size, directory };
}
