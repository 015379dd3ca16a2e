import { crc32 } from 'node:zlib';
import { sha256 } from '../trust/bytes.ts';

/**
 * One frame: magic (4), payload length (4), CRC-32 of the two (4), payload, SHA-256 over the former frame's hash and
 * the payload (32). The header has its own CRC so that a flipped length is told from a torn tail.
 */
const magic = Buffer.from('AJ01');
const headerBytes = 12;
const hashBytes = 32;
const maxFrameBytes = 8_388_608;

/** Hash before the first frame. */
export const emptyHead = Buffer.alloc(hashBytes);

/** Bytes that no crash can explain: the journal was changed, or the disk lies. */
export class JournalCorrupt extends Error {
  readonly offset: number;

  constructor(offset: number, why: string) {
    super(`journal is damaged at byte ${offset}: ${why}`);
    this.offset = offset;
  }
}

export interface EncodedFrame {
  readonly bytes: Buffer;
  readonly head: Buffer;
}

export function encodeFrame(payload: Uint8Array, previousHead: Uint8Array): EncodedFrame {
  const header = Buffer.alloc(headerBytes);
  magic.copy(header);
  header.writeUInt32BE(payload.length, 4);
  header.writeUInt32BE(crc32(header.subarray(0, 8)), 8);
  const head = sha256(previousHead, payload);
  return { bytes: Buffer.concat([header, payload, head]), head };
}

export interface DecodedJournal {
  readonly frames: readonly { readonly payload: Buffer; readonly head: Buffer }[];
  /** Bytes that hold whole frames; what lies beyond is a torn tail, never acknowledged to anybody. */
  readonly soundBytes: number;
}

/** Length of the frame at `offset`, or null when the file ends inside it. */
function frameLength(file: Buffer, offset: number): number | null {
  const left = file.length - offset;
  if (left < headerBytes) return null;
  const header = file.subarray(offset, offset + headerBytes);
  // A file system may have extended the file and lost the content with the power.
  if (header.every((byte) => byte === 0) && file.subarray(offset).every((byte) => byte === 0)) return null;
  if (!header.subarray(0, 4).equals(magic)) throw new JournalCorrupt(offset, 'no frame begins here');
  if (header.readUInt32BE(8) !== crc32(header.subarray(0, 8)))
    throw new JournalCorrupt(offset, 'header checksum');
  const length = header.readUInt32BE(4);
  if (length > maxFrameBytes) throw new JournalCorrupt(offset, 'frame too long');
  const total = headerBytes + length + hashBytes;
  return left < total ? null : total;
}

/**
 * Reads every whole frame. A tail that is cut short is left out; anything else that does not fit is damage.
 * @throws JournalCorrupt
 */
export function decodeJournal(file: Buffer): DecodedJournal {
  const frames: { payload: Buffer; head: Buffer }[] = [];
  let head: Buffer = emptyHead;
  let offset = 0;
  while (offset < file.length) {
    const total = frameLength(file, offset);
    if (total === null) break;
    const payload = file.subarray(offset + headerBytes, offset + total - hashBytes);
    const expected = sha256(head, payload);
    if (!expected.equals(file.subarray(offset + total - hashBytes, offset + total)))
      throw new JournalCorrupt(offset, 'hash chain');
    frames.push({ payload, head: expected });
    head = expected;
    offset += total;
  }
  return { frames, soundBytes: offset };
}
