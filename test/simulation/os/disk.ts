import path from 'node:path';
import { loop, never, type Machine } from './loop.ts';

interface File {
  content: Buffer;
  /** What a loss of power leaves of it. */
  durable: Buffer;
  mtimeMs: number;
}

type Names = Map<string, File>;

/** A file that the kernel makes up when it is read. */
export type Special = () => string;

/** A disk with a page cache: what was not flushed may be gone, or half there, after a loss of power. */
export class Disk {
  #names: Names = new Map();
  /** Names as a loss of power leaves them: a directory is flushed by its own handle, a new file also by its own. */
  #durableNames: Names = new Map();
  readonly #folders = new Set<string>(['/']);
  readonly special = new Map<string, Special>();
  freeBytes = 20 * 1024 ** 3;
  slowness = 1;

  losePower(): void {
    const names: Names = new Map();
    for (const [name, file] of this.#durableNames) {
      const { content, durable } = file;
      // Only appends are ever left unflushed; of what was appended, any part may have reached the disk.
      const unsure = content.length > durable.length ? content.length - durable.length : 0;
      const kept = loop.chance.between(0, unsure);
      const left = Buffer.concat([durable, content.subarray(durable.length, durable.length + kept)]);
      names.set(name, { content: left, durable: left, mtimeMs: file.mtimeMs });
    }
    this.#names = names;
    this.#durableNames = new Map(names);
  }

  has(name: string): boolean {
    return this.#names.has(name) || this.#folders.has(name) || this.special.has(name);
  }

  text(name: string): string | null {
    return this.#names.get(name)?.content.toString('utf8') ?? null;
  }

  get(name: string): File {
    const special = this.special.get(name);
    if (special !== undefined) {
      const content = Buffer.from(special());
      return { content, durable: content, mtimeMs: 0 };
    }
    const file = this.#names.get(name);
    if (file === undefined) throw fault('ENOENT', name);
    return file;
  }

  open(name: string, flags: string): File | null {
    if (this.#folders.has(name)) return null;
    if (flags.startsWith('r')) return this.get(name);
    if (!this.#folders.has(path.dirname(name))) throw fault('ENOENT', name);
    const known = this.#names.get(name);
    if (known !== undefined && flags.startsWith('a')) return known;
    const file = { content: Buffer.alloc(0), durable: Buffer.alloc(0), mtimeMs: loop.localMs };
    this.#names.set(name, file);
    return file;
  }

  /** Makes a file's content and its name durable. */
  sync(name: string): void {
    const file = this.#names.get(name);
    if (file === undefined) return;
    file.durable = file.content;
    this.#durableNames.set(name, file);
  }

  /** Makes the names in a folder durable: what was created, renamed or removed there. */
  syncFolder(folder: string): void {
    for (const name of [...this.#durableNames.keys()])
      if (path.dirname(name) === folder && !this.#names.has(name)) this.#durableNames.delete(name);
    for (const [name, file] of this.#names)
      if (path.dirname(name) === folder) this.#durableNames.set(name, file);
  }

  syncAll(): void {
    for (const file of this.#names.values()) file.durable = file.content;
    this.#durableNames = new Map(this.#names);
  }

  rename(from: string, to: string): void {
    if (this.#folders.has(from)) {
      for (const name of [...this.#names.keys()])
        if (name.startsWith(`${from}/`)) this.rename(name, to + name.slice(from.length));
      this.#folders.delete(from);
      this.#folders.add(to);
      return;
    }
    this.#names.set(to, this.get(from));
    this.#names.delete(from);
  }

  remove(name: string): boolean {
    for (const other of [...this.#names.keys()]) if (other.startsWith(`${name}/`)) this.#names.delete(other);
    return this.#names.delete(name) || this.#folders.delete(name);
  }

  makeFolder(name: string): void {
    for (let at = name; at !== '/'; at = path.dirname(at)) this.#folders.add(at);
  }

  list(folder: string): string[] {
    if (!this.#folders.has(folder)) throw fault('ENOENT', folder);
    const all = [...this.#names.keys(), ...this.#folders];
    return all
      .filter((name) => name !== '/' && path.dirname(name) === folder)
      .map((name) => path.basename(name));
  }

  append(file: File, bytes: Buffer): void {
    file.content = Buffer.concat([file.content, bytes]);
    file.mtimeMs = loop.localMs;
  }
}

export function fault(code: string, name: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${name}`), { code });
}

/** Machines with a disk. */
export interface DiskMachine extends Machine {
  readonly disk: Disk;
}

/** Each life of a program names its files below a folder of its own; on the disk they are the same. */
const plain = (name: string): string => name.replace(/^\/[a-z0-9-]+\.\d+(?=\/)/, '');

function here(): Disk {
  const machine = loop.program?.machine as DiskMachine | undefined;
  if (machine === undefined) throw new Error('a file was asked for outside of any machine');
  return machine.disk;
}

/** Mishaps at the very access: between any two of them a program or its machine may die. The world sets it. */
export const accessFaults = {
  probability: 0,
  strike: (_machine: Machine): void => undefined,
};

/** One access: it takes a moment, and whoever dies meanwhile does not hear of it, though it may have happened. */
async function access<T>(act: (disk: Disk) => T, ms = 1): Promise<T> {
  const { program } = loop;
  const disk = here();
  await loop.sleep(loop.chance.fraction() * ms * disk.slowness);
  const value = act(disk);
  if (program !== undefined && loop.chance.happens(accessFaults.probability)) {
    loop.after(0, () => accessFaults.strike(program.machine), null);
    await loop.sleep(loop.chance.fraction() * 2);
  }
  if (program?.alive === false) await never();
  return value;
}

const bytesOf = (content: string | Uint8Array): Buffer =>
  typeof content === 'string' ? Buffer.from(content, 'utf8') : Buffer.from(content);

class Handle {
  readonly #name: string;
  readonly #file: File | null;

  constructor(name: string, file: File | null) {
    this.#name = name;
    this.#file = file;
  }

  #writable(): File {
    if (this.#file === null) throw fault('EISDIR', this.#name);
    return this.#file;
  }

  truncate(size: number): Promise<void> {
    return access(() => {
      const file = this.#writable();
      file.content = file.content.subarray(0, size);
      if (file.durable.length > size) file.durable = file.durable.subarray(0, size);
    });
  }

  appendFile(bytes: Uint8Array | string): Promise<void> {
    return access((disk) => disk.append(this.#writable(), bytesOf(bytes)));
  }

  writeFile(bytes: Uint8Array | string): Promise<void> {
    return this.appendFile(bytes);
  }

  sync(): Promise<void> {
    return access((disk) => {
      if (this.#file === null) disk.syncFolder(this.#name);
      else disk.sync(this.#name);
    }, 8);
  }

  datasync(): Promise<void> {
    return this.sync();
  }

  close(): Promise<void> {
    return access(() => undefined);
  }
}

type Encoding = BufferEncoding | { readonly encoding?: BufferEncoding } | undefined;

export function open(name: string, flags = 'r'): Promise<Handle> {
  return access((disk) => new Handle(plain(name), disk.open(plain(name), flags)));
}

export function readFile(name: string, encoding?: Encoding): Promise<string | Buffer> {
  return access((disk) => {
    const { content } = disk.get(plain(name));
    return encoding === undefined ? Buffer.from(content) : content.toString('utf8');
  });
}

export function writeFile(name: string, content: string | Uint8Array): Promise<void> {
  return access((disk) => {
    const file = disk.open(plain(name), 'w');
    if (file !== null) disk.append(file, bytesOf(content));
  });
}

export function appendFile(name: string, content: string | Uint8Array): Promise<void> {
  return access((disk) => {
    const file = disk.open(plain(name), 'a');
    if (file !== null) disk.append(file, bytesOf(content));
  });
}

export function rename(from: string, to: string): Promise<void> {
  return access((disk) => disk.rename(plain(from), plain(to)));
}

export function rm(name: string, options: { readonly force?: boolean } = {}): Promise<void> {
  return access((disk) => {
    if (!disk.remove(plain(name)) && options.force !== true) throw fault('ENOENT', name);
  });
}

export function mkdir(name: string): Promise<void> {
  return access((disk) => disk.makeFolder(plain(name)));
}

export function readdir(name: string): Promise<string[]> {
  return access((disk) => disk.list(plain(name)));
}

export function stat(name: string): Promise<{ readonly mtimeMs: number }> {
  return access((disk) => {
    if (!disk.has(plain(name))) throw fault('ENOENT', name);
    return { mtimeMs: disk.text(plain(name)) === null ? 0 : disk.get(plain(name)).mtimeMs };
  });
}

export function statfs(): Promise<{ readonly bavail: number; readonly bsize: number }> {
  return access((disk) => ({ bavail: Math.floor(disk.freeBytes / 4096), bsize: 4096 }));
}
