import { measures } from '#contract/metrics.ts';
import { invariant } from '../../platform/errors.ts';
import { meanOf, tallyOf, type Cell, type Codes, type Tally } from './tally.policy.ts';

/**
 * How measures are kept: one byte of version, a bit for each place that is filled, then one measure after the other.
 * A value is written as its difference to the one before, zigzag plus one in groups of seven bits (LEB128); zero says that
 * nothing was read. What changes little takes a byte, and what does not change leaves runs that the database compresses.
 */
const version = 1;
const minutesPerHour = 60;
const hoursPerDay = 24;

/** Samples of an hour by their minute in it, 0 to 59. */
export type Hour = ReadonlyMap<number, Codes>;
/** Cells of a day by their hour, 0 to 23. */
export type Day = ReadonlyMap<number, Cell>;

class Writer {
  readonly #bytes: number[] = [version];

  bits(places: ReadonlySet<number>, width: number): void {
    for (let start = 0; start < width; start += 8) {
      let byte = 0;
      for (let bit = 0; bit < 8; bit += 1) if (places.has(start + bit)) byte |= 1 << bit;
      this.#bytes.push(byte);
    }
  }

  number(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes.push((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.#bytes.push(rest);
  }

  /** Differences along the row; null is a value of its own and changes nothing of what follows. */
  row(values: readonly (number | null)[]): void {
    let before = 0;
    for (const value of values) {
      if (value === null) {
        this.number(0);
        continue;
      }
      const step = value - before;
      this.number((step >= 0 ? step * 2 : -step * 2 - 1) + 1);
      before = value;
    }
  }

  get bytes(): Buffer {
    return Buffer.from(this.#bytes);
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 1;

  constructor(bytes: Buffer) {
    invariant(bytes[0] === version, 'packed measures are of a version that this program does not know');
    this.#bytes = bytes;
  }

  bits(width: number): number[] {
    const places: number[] = [];
    for (let place = 0; place < width; place += 1) {
      if (((this.#bytes[this.#at + (place >> 3)] ?? 0) >> (place & 7)) & 1) places.push(place);
    }
    this.#at += Math.ceil(width / 8);
    return places;
  }

  number(): number {
    let [value, shift] = [0, 0];
    for (;;) {
      const byte = this.#bytes[this.#at];
      invariant(byte !== undefined, 'packed measures end too early');
      this.#at += 1;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
      shift += 7;
    }
  }

  row(length: number): (number | null)[] {
    let before = 0;
    return Array.from({ length }, () => {
      const token = this.number();
      if (token === 0) return null;
      const zigzag = token - 1;
      before += zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
      return before;
    });
  }
}

/** The samples of an hour as bytes. */
export function packHour(hour: Hour): Buffer {
  const minutes = [...hour.keys()].sort((a, b) => a - b);
  const writer = new Writer();
  writer.bits(new Set(minutes), minutesPerHour);
  for (const place of measures.keys()) writer.row(minutes.map((minute) => hour.get(minute)?.[place] ?? null));
  return writer.bytes;
}

export function unpackHour(bytes: Buffer): Map<number, Codes> {
  const reader = new Reader(bytes);
  const minutes = reader.bits(minutesPerHour);
  const rows = measures.map(() => reader.row(minutes.length));
  return new Map(minutes.map((minute, index) => [minute, rows.map((row) => row[index] ?? null)]));
}

/** Cells by their place among `width`: count, mean, and how far least and greatest are from the mean. */
function packCells(cells: ReadonlyMap<number, Cell>, width: number): Buffer {
  const places = [...cells.keys()].sort((a, b) => a - b);
  const writer = new Writer();
  writer.bits(new Set(places), width);
  for (const measure of measures.keys()) {
    const tallies = places.map((place) => cells.get(place)?.[measure] ?? null);
    const means = tallies.map((tally) => (tally === null ? null : meanOf(measure, tally)));
    const apart = (pick: (tally: Tally, mean: number) => number) =>
      tallies.flatMap((tally, index) => (tally === null ? [] : [pick(tally, means[index] ?? 0)]));
    writer.row(means);
    writer.row(apart(({ count }) => count));
    writer.row(apart(({ min }, mean) => mean - min));
    writer.row(apart(({ max }, mean) => max - mean));
  }
  return writer.bytes;
}

function unpackCells(bytes: Buffer, width: number): Map<number, Cell> {
  const reader = new Reader(bytes);
  const places = reader.bits(width);
  const columns = measures.map((_, measure) => {
    const means = reader.row(places.length);
    const filled = means.filter((mean) => mean !== null);
    const [counts, below, above] = [0, 1, 2].map(() => reader.row(filled.length));
    let next = 0;
    return means.map((mean) => {
      if (mean === null) return null;
      const [count, min, max] = [
        counts?.[next] ?? 0,
        mean - (below?.[next] ?? 0),
        mean + (above?.[next] ?? 0),
      ];
      next += 1;
      return tallyOf(measure, { count, mean, min, max });
    });
  });
  return new Map(places.map((place, index) => [place, columns.map((column) => column[index] ?? null)]));
}

/** The cells of a day's hours as bytes. */
export function packDay(day: Day): Buffer {
  return packCells(day, hoursPerDay);
}

export function unpackDay(bytes: Buffer): Map<number, Cell> {
  return unpackCells(bytes, hoursPerDay);
}

/** One cell as bytes. */
export function packCell(cell: Cell): Buffer {
  return packCells(new Map([[0, cell]]), 1);
}

export function unpackCell(bytes: Buffer): Cell | null {
  return unpackCells(bytes, 1).get(0) ?? null;
}
