import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import type { Host } from './hosts.ts';
import { must } from './machine.ts';

/** A file system in memory with little room: what it holds survives processes, and it can be filled, emptied and shut. */
export class SmallDisk {
  readonly folder: string;
  readonly #fill: string;

  constructor(folder: string, options: string) {
    this.folder = folder;
    this.#fill = path.join(folder, 'filler');
    mkdirSync(folder, { recursive: true });
    must('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder);
  }

  /** Takes the last byte. @returns bytes that were free. */
  fillBytes(): number {
    let total = 0;
    for (const size of [1 << 20, 1 << 12, 1]) total += this.#fillWith(Buffer.alloc(size));
    return total;
  }

  /** Takes the last inode. @returns how many were free. */
  fillInodes(): number {
    mkdirSync(this.#fill);
    for (let count = 0; ; count += 1) {
      try {
        writeFileSync(path.join(this.#fill, String(count)), '');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return count;
        throw error;
      }
    }
  }

  /** Gives back what was taken. */
  empty(): void {
    rmSync(this.#fill, { recursive: true, force: true });
  }

  remount(how: 'ro' | 'rw'): void {
    must('mount', '-o', `remount,${how}`, this.folder);
  }

  unmount(): void {
    must('umount', '--lazy', this.folder);
  }

  #fillWith(piece: Buffer): number {
    const file = openSync(this.#fill, 'a');
    let total = 0;
    try {
      for (;;) total += writeSync(file, piece);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return total;
      throw error;
    } finally {
      closeSync(file);
    }
  }
}

/** Runs `work` while the agent's state lies on a small disk of its own; afterwards it lies where it was, as the agent left it. */
export async function onSmallDisk<T>(
  host: Host,
  options: string,
  work: (disk: SmallDisk) => Promise<T>,
): Promise<T> {
  const aside = path.join(host.directory, 'state.aside');
  await host.stop();
  renameSync(host.stateRoot, aside);
  const disk = new SmallDisk(host.stateRoot, options);
  try {
    cpSync(aside, host.stateRoot, { recursive: true });
    host.start();
    const value = await work(disk);
    await host.stop();
    disk.empty();
    rmSync(aside, { recursive: true, force: true });
    cpSync(host.stateRoot, aside, { recursive: true });
    return value;
  } finally {
    await host.stop();
    disk.unmount();
    rmSync(host.stateRoot, { recursive: true, force: true });
    renameSync(aside, host.stateRoot);
    host.start();
  }
}
