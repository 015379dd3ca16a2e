import { randomFillSync } from 'node:crypto';

export type NewId = () => string;

interface IdSource {
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Fills the buffer with random bytes. */
  readonly random: (target: Uint8Array) => void;
}

const counterLimit = 0x1000;
const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function format(bytes: Uint8Array): string {
  let text = '';
  for (let index = 0; index < 16; index += 1) {
    if (index === 4 || index === 6 || index === 8 || index === 10) text += '-';
    text += hex[bytes[index] ?? 0];
  }
  return text;
}

/**
 * Makes UUIDs of version 7 (RFC 9562, section 5.7) that never go back, even when the clock does:
 * the 12 bits of rand_a count within a millisecond (section 6.2, method 1), and a full counter borrows the next millisecond.
 */
export function createIdSource(source: IdSource): NewId {
  let lastMs = 0;
  let counter = 0;
  const bytes = new Uint8Array(16);
  return () => {
    const nowMs = source.now();
    source.random(bytes);
    if (nowMs > lastMs) {
      lastMs = nowMs;
      // Starts low, so that a burst has room to count.
      counter = (((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0)) & 0x3ff;
    } else {
      counter += 1;
      if (counter === counterLimit) {
        lastMs += 1;
        counter = 0;
      }
    }
    const high = Math.floor(lastMs / 0x10000);
    bytes[0] = high >>> 24;
    bytes[1] = high >>> 16;
    bytes[2] = high >>> 8;
    bytes[3] = high;
    bytes[4] = lastMs >>> 8;
    bytes[5] = lastMs;
    bytes[6] = 0x70 | (counter >>> 8);
    bytes[7] = counter;
    bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
    return format(bytes);
  };
}

/** Lowest identifier of version 7 that could have been made at this instant (milliseconds since the Unix epoch). */
export function firstIdOf(atMs: number): string {
  const time = Math.max(0, Math.floor(atMs)).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}

/** A new identifier from the system's clock and random source. */
export const newId: NewId = createIdSource({
  now: () => Date.now(),
  random: (target) => randomFillSync(target),
});

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** True for a UUID in lower case, as the contract writes them. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}
