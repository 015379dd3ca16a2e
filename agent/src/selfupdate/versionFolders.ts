import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { parseLines } from '../guard/guardian.ts';
import { readJson, syncDirectory, writeDurably } from '../state/durableFile.ts';
import { sha256Hex } from '../trust/bytes.ts';

/** What the launcher starts; `launch.sh` of the package reads and writes the same lines. */
export interface Pointer {
  /** Name of a folder, or `package`. */
  readonly version: string;
  readonly previous: string;
  readonly isProven: boolean;
  /** The request that led to this version; null when none did. */
  readonly askId: string | null;
  /** What the launcher has left, when it did so last. */
  readonly left: {
    readonly version: string;
    readonly askId: string;
    readonly starts: number;
    readonly why: string;
  } | null;
}

export const packageVersion = 'package';
const versionName = /^\d+\.\d+\.\d+$/;

async function writeNew(file: string, content: string | Uint8Array): Promise<void> {
  const handle = await open(file, 'wx', 0o644);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Versions of this agent beside the package's own: one folder each, and the pointer that says which one the launcher starts. */
export class VersionFolders {
  readonly #root: string;
  readonly #pointer: string;
  readonly #tries: string;

  constructor(root: string) {
    this.#root = root;
    this.#pointer = path.join(root, 'current');
    this.#tries = path.join(root, 'tries.json');
  }

  /** The program of a version that was put here. */
  programOf(version: string): string {
    return path.join(this.#root, version, 'agent.mjs');
  }

  async read(): Promise<Pointer> {
    const text = await readFile(this.#pointer, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const lines = parseLines(text);
    const left = lines.get('left');
    return {
      version: lines.get('version') ?? packageVersion,
      previous: lines.get('previous') ?? packageVersion,
      isProven: lines.get('proven') !== 'no',
      askId: lines.get('ask') ?? null,
      left:
        left === undefined
          ? null
          : {
              version: left,
              askId: lines.get('left_ask') ?? '',
              starts: Number(lines.get('left_starts') ?? 0),
              why: lines.get('left_why') ?? '',
            },
    };
  }

  /** How often this host has begun to become that version. */
  async triesOf(version: string): Promise<number> {
    const tries = (await readJson(this.#tries)) as Record<string, number> | null;
    return tries?.[version] ?? 0;
  }

  /** Notes one more try, before anything can come of it. */
  async countTry(version: string): Promise<void> {
    const tries = ((await readJson(this.#tries)) as Record<string, number> | null) ?? {};
    await writeDurably(this.#tries, JSON.stringify({ ...tries, [version]: (tries[version] ?? 0) + 1 }));
  }

  /** Puts a program in its folder: whole and on the disk, or not there. Not pointed at yet. */
  async put(version: string, program: Uint8Array): Promise<void> {
    const folder = path.join(this.#root, version);
    const draft = `${folder}.new`;
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { mode: 0o755 });
    await writeNew(path.join(draft, 'agent.mjs'), program);
    await writeNew(path.join(draft, 'SHA256SUMS'), `${sha256Hex(program)}  agent.mjs\n`);
    await syncDirectory(draft);
    // Left over from a try that failed: nothing points at it.
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
    await syncDirectory(this.#root);
  }

  /** Points at a version that has to prove itself. The launcher counts its starts from here. */
  async swap(to: { readonly version: string; readonly from: string; readonly askId: string }): Promise<void> {
    const lines = [
      `version=${to.version}`,
      `previous=${to.from}`,
      'proven=no',
      'starts=0',
      `ask=${to.askId}`,
    ];
    await writeDurably(this.#pointer, `${lines.join('\n')}\n`);
  }

  /** Says that the version that is pointed at has proven itself; what is no longer needed goes. */
  async confirm(version: string): Promise<void> {
    const pointer = await this.read();
    if (pointer.version !== version || pointer.isProven) return;
    const ask = pointer.askId === null ? [] : [`ask=${pointer.askId}`];
    const lines = [`version=${version}`, `previous=${pointer.previous}`, 'proven=yes', ...ask];
    await writeDurably(this.#pointer, `${lines.join('\n')}\n`);
    await this.#prune([version, pointer.previous]);
  }

  /** Removes folders and drafts but those that may still be started. */
  async #prune(kept: readonly string[]): Promise<void> {
    const names = await readdir(this.#root);
    const old = names.filter((name) => versionName.test(name.replace(/\.new$/, '')) && !kept.includes(name));
    for (const name of old) await rm(path.join(this.#root, name), { recursive: true, force: true });
  }
}
