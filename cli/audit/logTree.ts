import { createHash } from 'node:crypto';

// The command checks an exported log with code of its own: a fault in the server's cannot hide itself here.

/** Hashes in a full tile, and entries in a full bundle (C2SP tlog-tiles). */
export const tileWidth = 256;
const hashBytes = 32;

function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Hash of an entry (RFC 6962, section 2.1). */
export function entryHash(entry: Uint8Array): Buffer {
  return sha256(Buffer.of(0), entry);
}

/** Root over entry hashes, level by level: an odd last node moves up as it is, which equals RFC 6962's definition. */
export function treeRoot(hashes: readonly Buffer[]): Buffer {
  let row = [...hashes];
  if (row.length === 0) return sha256();
  while (row.length > 1) {
    const above: Buffer[] = [];
    for (let at = 0; at < row.length; at += 2) {
      const [left, right] = row.slice(at, at + 2);
      if (left !== undefined) above.push(right === undefined ? left : sha256(Buffer.of(1), left, right));
    }
    row = above;
  }
  return row[0] ?? sha256();
}

/** Path of a tile or bundle below the log's directory. */
export function tilePath(level: number | 'entries', index: number, width: number): string {
  const groups = [String(index % 1000).padStart(3, '0')];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  }
  return `tile/${level}/${groups.join('/')}${width === tileWidth ? '' : `.p/${width}`}`;
}

/** A tile that must be there, with the hashes that it must hold and the first entry below it. */
export interface ExpectedTile {
  readonly path: string;
  readonly hashes: readonly Buffer[];
  readonly firstEntry: number;
  /** Entries below each of its hashes. */
  readonly span: number;
}

/** Every tile that follows from the entries, lowest level first. */
export function* expectedTiles(entryHashes: readonly Buffer[]): Generator<ExpectedTile> {
  let row = [...entryHashes];
  for (let level = 0; row.length > 0; level += 1) {
    const span = tileWidth ** level;
    const above: Buffer[] = [];
    for (let index = 0; index * tileWidth < row.length; index += 1) {
      const hashes = row.slice(index * tileWidth, (index + 1) * tileWidth);
      yield {
        path: tilePath(level, index, hashes.length),
        hashes,
        firstEntry: index * tileWidth * span,
        span,
      };
      if (hashes.length === tileWidth) above.push(treeRoot(hashes));
    }
    row = above;
  }
}

/** First hash of a tile's bytes that is not the expected one, or -1. */
export function firstDifference(bytes: Buffer, expected: readonly Buffer[]): number {
  const differing = expected.findIndex(
    (hash, at) => !bytes.subarray(at * hashBytes, (at + 1) * hashBytes).equals(hash),
  );
  if (differing >= 0) return differing;
  return bytes.length === expected.length * hashBytes ? -1 : expected.length;
}
