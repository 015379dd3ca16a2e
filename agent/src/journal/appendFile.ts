import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

interface Waiting {
  readonly bytes: Buffer;
  readonly isDurable: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Appends in the order of the calls. Everything that arrives while the disk is busy rides the next write, and one
 * flush serves all who wait for it. After a failed write or flush nothing is believed any more: every later call fails.
 */
export class AppendFile {
  readonly #file: FileHandle;
  #queue: Waiting[] = [];
  #isWriting = false;
  #failure: Error | null = null;
  #tellFailure: (failure: Error) => void = () => undefined;
  /** Resolves with the first failure; never when all goes well. */
  readonly failed = new Promise<Error>((resolve) => {
    this.#tellFailure = resolve;
  });

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Opens for appending after cutting the file to `keepBytes`, and makes that cut durable. */
  static async open(path: string, keepBytes: number): Promise<AppendFile> {
    const file = await open(path, 'a', 0o600);
    await file.truncate(keepBytes);
    await file.sync();
    return new AppendFile(file);
  }

  /** Resolves when the bytes are written, and with `isDurable` when they are on the disk. */
  append(bytes: Buffer, isDurable: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      this.#queue.push({ bytes, isDurable, resolve, reject });
      if (!this.#isWriting) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#isWriting = true;
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      await this.#writeBatch(batch);
    }
    this.#isWriting = false;
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      if (this.#failure) throw this.#failure;
      await this.#file.appendFile(Buffer.concat(batch.map((one) => one.bytes)));
      if (batch.some((one) => one.isDurable)) await this.#file.datasync();
      for (const one of batch) one.resolve();
    } catch (cause) {
      this.#failure ??= new Error('the journal cannot be written', { cause });
      for (const one of batch) one.reject(this.#failure);
      this.#tellFailure(this.#failure);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
