import { emptyRoot, hashNode, type NodeReader } from './merkle.ts';

/** Hashes in a full tile: height 8 (C2SP tlog-tiles). */
export const tileWidth = 256;
const tileHeight = 8;
export const hashBytes = 32;

/** One file of a log as C2SP tlog-tiles lays it out. `width` is 256 for a full tile or bundle. */
export type LogFile =
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'tile'; readonly level: number; readonly index: number; readonly width: number }
  | { readonly kind: 'entries'; readonly index: number; readonly width: number };

/** Number as path: groups of three digits, all but the last begin with `x`, e.g. 1234067 → x001/x234/067. */
function indexPath(index: number): string {
  const groups: string[] = [];
  let rest = index;
  do {
    groups.unshift((groups.length === 0 ? '' : 'x') + String(rest % 1000).padStart(3, '0'));
    rest = Math.floor(rest / 1000);
  } while (rest > 0);
  return groups.join('/');
}

/** Path of a file below the log's address. */
export function logFilePath(file: LogFile): string {
  if (file.kind === 'checkpoint') return 'checkpoint';
  const level = file.kind === 'entries' ? 'entries' : String(file.level);
  const partial = file.width === tileWidth ? '' : `.p/${file.width}`;
  return `tile/${level}/${indexPath(file.index)}${partial}`;
}

const tilePath = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/)*\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** The file that a path names, or undefined when it is not exactly the path of one. */
export function parseLogFilePath(path: string): LogFile | undefined {
  if (path === 'checkpoint') return { kind: 'checkpoint' };
  const match = tilePath.exec(path);
  if (match === null) return undefined;
  const [, level = '', groups = '', partial] = match;
  const width = partial === undefined ? tileWidth : Number(partial);
  const index = Number(groups.replaceAll(/[x/]/g, ''));
  const file: LogFile =
    level === 'entries'
      ? { kind: 'entries', index, width }
      : { kind: 'tile', level: Number(level), index, width };
  // Only the canonical spelling counts: no leading zeros beyond the padding, no partial tile of full width.
  return logFilePath(file) === path ? file : undefined;
}

/** Every file of a log of `size` entries, the checkpoint last, so that a copy is complete when it has one. */
export function* listLogFiles(size: number): Generator<LogFile> {
  for (let index = 0; index * tileWidth < size; index += 1) {
    yield { kind: 'entries', index, width: Math.min(tileWidth, size - index * tileWidth) };
  }
  for (let level = 0, count = size; count > 0; level += 1, count = Math.floor(count / tileWidth)) {
    for (let index = 0; index * tileWidth < count; index += 1) {
      yield { kind: 'tile', level, index, width: Math.min(tileWidth, count - index * tileWidth) };
    }
  }
  yield { kind: 'checkpoint' };
}

/** Hashes that tile level `level` holds in a tree of `size` leaves. */
export function hashesAtTileLevel(size: number, level: number): number {
  return Math.floor(size / tileWidth ** level);
}

/** Leaves in one entry bundle, each preceded by its length as big-endian uint16. */
export function encodeEntryBundle(leaves: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const leaf of leaves) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(leaf.length);
    parts.push(length, leaf);
  }
  return Buffer.concat(parts);
}

/** Root of the complete subtree over the hashes; their count is a power of two. */
export function foldComplete(hashes: readonly Buffer[]): Buffer {
  let row = hashes;
  while (row.length > 1) {
    const above: Buffer[] = [];
    for (let at = 0; at + 1 < row.length; at += 2) {
      above.push(hashNode(row[at] ?? emptyRoot, row[at + 1] ?? emptyRoot));
    }
    row = above;
  }
  return row[0] ?? emptyRoot;
}

/** Reads the first `width` hashes of a tile, one after the other. */
export type TileReader = (level: number, index: number, width: number) => Promise<Buffer> | Buffer;

/** Finds any node of the tree of `size` leaves in the tiles. A tile is read once in the reader's life. */
export function nodesFromTiles(read: TileReader, size: number): NodeReader {
  const tiles = new Map<string, Promise<Buffer>>();
  const tileAt = (level: number, index: number): Promise<Buffer> => {
    const key = `${level}/${index}`;
    const width = Math.min(tileWidth, hashesAtTileLevel(size, level) - index * tileWidth);
    const known = tiles.get(key) ?? Promise.resolve(read(level, index, width));
    tiles.set(key, known);
    return known;
  };
  return async (level, index) => {
    const tileLevel = Math.floor(level / tileHeight);
    const span = 2 ** (level % tileHeight);
    const first = index * span;
    const tile = await tileAt(tileLevel, Math.floor(first / tileWidth));
    const at = first % tileWidth;
    if (tile.length < (at + span) * hashBytes) {
      throw new Error(`tile ${tileLevel}/${Math.floor(first / tileWidth)} is shorter than the tree says`);
    }
    return foldComplete(splitHashes(tile.subarray(at * hashBytes, (at + span) * hashBytes)));
  };
}

/** The 32-byte hashes of a tile's bytes. */
export function splitHashes(bytes: Buffer): Buffer[] {
  const hashes: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += hashBytes) hashes.push(bytes.subarray(at, at + hashBytes));
  return hashes;
}
