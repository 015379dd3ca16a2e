import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

const idBytes = 16;
const idsPerWrite = 256;

/** Identifiers in the order in which something happened to them, in a file: memory does not grow with their number. */
export class Ledger {
  readonly #file: number;
  readonly #block = Buffer.alloc(idBytes * idsPerWrite);
  #used = 0;

  constructor(file: string) {
    this.#file = openSync(file, 'w', 0o600);
  }

  add(id: string): void {
    this.#block.write(id.replaceAll('-', ''), this.#used, 'hex');
    this.#used += idBytes;
    if (this.#used === this.#block.length) this.#write();
  }

  close(): void {
    this.#write();
    closeSync(this.#file);
  }

  #write(): void {
    writeSync(this.#file, this.#block, 0, this.#used);
    this.#used = 0;
  }
}

/** Reads a closed ledger; identifiers as 32 hexadecimal digits. */
export function readLedger(file: string): string[] {
  const bytes = readFileSync(file);
  return Array.from({ length: bytes.length / idBytes }, (_, index) =>
    bytes.toString('hex', index * idBytes, (index + 1) * idBytes),
  );
}
