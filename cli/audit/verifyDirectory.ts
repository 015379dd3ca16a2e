import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { AuditVerification } from '#contract/audit.ts';
import { openCheckpoint, readVerifierKey } from './logNote.ts';
import type { Checkpoint, LogVerifier } from './logNote.ts';
import { entryHash, expectedTiles, firstDifference, tilePath, tileWidth, treeRoot } from './logTree.ts';

export interface DirectoryRequest {
  readonly directory: string;
  /** File with the verifier key; `log.vkey` of the directory when absent, which proves consistency but not origin. */
  readonly keyFile?: string;
  /** File with a checkpoint that was kept earlier. */
  readonly keptFile?: string;
}

/** Something does not fit; `index` is the first entry concerned, when one can be named. */
class Misfit extends Error {
  readonly index: number | null;

  constructor(reason: string, index: number | null = null) {
    super(reason);
    this.index = index;
  }
}

async function readNote(file: string, verifier: LogVerifier): Promise<Checkpoint> {
  try {
    return openCheckpoint(await readFile(file, 'utf8'), verifier);
  } catch (error) {
    throw new Misfit(`${path.basename(file)}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function readPiece(directory: string, name: string, firstEntry: number): Promise<Buffer> {
  const file = path.join(directory, name);
  if (!existsSync(file)) throw new Misfit(`${name} is missing`, firstEntry);
  return readFile(file);
}

/** Hashes of every entry in the bundles of a log of `size`. */
async function hashEntries(directory: string, size: number): Promise<Buffer[]> {
  const hashes: Buffer[] = [];
  while (hashes.length < size) {
    const first = hashes.length;
    const width = Math.min(tileWidth, size - first);
    const bundle = await readPiece(directory, tilePath('entries', first / tileWidth, width), first);
    let at = 0;
    for (let place = first; place < first + width; place += 1) {
      const end = at + 2 <= bundle.length ? at + 2 + bundle.readUInt16BE(at) : Infinity;
      if (end > bundle.length) throw new Misfit('its bundle ends too early', place);
      hashes.push(entryHash(bundle.subarray(at + 2, end)));
      at = end;
    }
    if (at !== bundle.length) throw new Misfit('its bundle is longer than its entries', first);
  }
  return hashes;
}

async function checkTiles(directory: string, hashes: readonly Buffer[]): Promise<string> {
  let tiles = 0;
  for (const tile of expectedTiles(hashes)) {
    const bytes = await readPiece(directory, tile.path, tile.firstEntry);
    const at = firstDifference(bytes, tile.hashes);
    if (at >= 0) throw new Misfit(`it is not what ${tile.path} holds`, tile.firstEntry + at * tile.span);
    tiles += 1;
  }
  return `${tiles} tiles agree with the entries`;
}

function checkKept(kept: Checkpoint, hashes: readonly Buffer[]): string {
  if (kept.size > hashes.length) {
    const reason = `the log ends at ${hashes.length} entries, the kept checkpoint has ${kept.size}`;
    throw new Misfit(reason, hashes.length);
  }
  if (!treeRoot(hashes.slice(0, kept.size)).equals(kept.root)) {
    throw new Misfit(`its first ${kept.size} entries are not those of the kept checkpoint`, 0);
  }
  return `the log continues the kept checkpoint of ${kept.size} entries`;
}

/** Verifies an exported log without the server: every entry, every tile, the signed checkpoint, and a kept one. */
export async function verifyDirectory(request: DirectoryRequest): Promise<AuditVerification> {
  const { directory, keptFile } = request;
  const steps: AuditVerification['steps'] = [];
  let firstBad: AuditVerification['firstBad'] = null;
  const step = async <T>(
    name: string,
    check: () => Promise<{ value: T; detail: string }>,
  ): Promise<T | null> => {
    const beganAt = performance.now();
    const end = (ok: boolean, detail: string): void => {
      steps.push({ step: name, ok, detail, tookMs: Math.round(performance.now() - beganAt) });
    };
    try {
      const { value, detail } = await check();
      end(true, detail);
      return value;
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      const { index, message } = error;
      end(false, index === null ? message : `entry ${index}: ${message}`);
      if (index !== null) firstBad ??= { index, entryId: null, reason: message };
      return null;
    }
  };

  const keyFile = request.keyFile ?? path.join(directory, 'log.vkey');
  const verifier = readVerifierKey(await readFile(keyFile, 'utf8'));
  const head = await step('checkpoint', async () => {
    const value = await readNote(path.join(directory, 'checkpoint'), verifier);
    return { value, detail: `${value.size} entries, signed by ${verifier.name}` };
  });
  const hashes = await step('entries', async () => {
    const value = head === null ? [] : await hashEntries(directory, head.size);
    return { value, detail: `${value.length} entries hashed` };
  });
  if (head !== null && hashes !== null) {
    await step('tiles', async () => ({ value: null, detail: await checkTiles(directory, hashes) }));
    await step('tree', async () => {
      if (!treeRoot(hashes).equals(head.root))
        throw new Misfit('the entries do not have the root that was signed');
      return { value: null, detail: 'the entries have the root that was signed' };
    });
    if (keptFile !== undefined) {
      await step('kept', async () => ({
        value: null,
        detail: checkKept(await readNote(keptFile, verifier), hashes),
      }));
    }
  }
  return {
    ok: steps.every(({ ok }) => ok),
    size: head?.size ?? 0,
    rootSha256: (head?.root ?? Buffer.alloc(32)).toString('hex'),
    steps,
    firstBad,
  };
}
