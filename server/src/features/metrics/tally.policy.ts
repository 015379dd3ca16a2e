import { measures, scales, type Measure } from '#contract/metrics.ts';

/** Codes of a sample by the place of their measure; null where nothing was read. */
export type Codes = readonly (number | null)[];

/** What many samples of one measure come to: least and greatest code, and the sum in whole natural units. */
export interface Tally {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
}

/** A tally for each measure; null where there was no sample. */
export type Cell = readonly (Tally | null)[];

export const emptyCell: Cell = measures.map(() => null);

const bytesPerKb = 1000;

/** Whole numbers that may be added: a linear code itself, bytes a second of a logarithmic one. */
const naturals: Readonly<Record<Measure, Float64Array>> = Object.fromEntries(
  measures.map((measure) => {
    const { unit, maxCode, fromCode } = scales[measure];
    const natural = (code: number) => (unit === 'kBps' ? Math.round(fromCode(code) * bytesPerKb) : code);
    return [measure, Float64Array.from({ length: maxCode + 1 }, (_, code) => natural(code))];
  }),
) as unknown as Record<Measure, Float64Array>;

function naturalOf(place: number, code: number): number {
  return naturals[measures[place] ?? 'cpuBusy'][code] ?? 0;
}

/** The code that is nearest to a natural value. */
function codeOf(place: number, natural: number): number {
  const { unit, toCode } = scales[measures[place] ?? 'cpuBusy'];
  return unit === 'kBps' ? toCode(natural / bytesPerKb) : Math.round(natural);
}

/** The mean as a code. */
export function meanOf(place: number, { sum, count }: Tally): number {
  return codeOf(place, sum / count);
}

/** A tally that was kept as its mean, count, least and greatest code. */
export function tallyOf(
  place: number,
  kept: { count: number; mean: number; min: number; max: number },
): Tally {
  const { count, mean, min, max } = kept;
  return { count, min, max, sum: naturalOf(place, mean) * count };
}

function join(one: Tally | null, other: Tally | null): Tally | null {
  if (one === null || other === null) return one ?? other;
  return {
    count: one.count + other.count,
    min: Math.min(one.min, other.min),
    max: Math.max(one.max, other.max),
    sum: one.sum + other.sum,
  };
}

/** Both together: the order does not matter, nor how they were divided. */
export function addCells(one: Cell, other: Cell): Cell {
  return one.map((tally, place) => join(tally, other[place] ?? null));
}

/** One sample as a tally of one. */
export function cellOf(codes: Codes): Cell {
  return codes.map((code, place) =>
    code === null ? null : { count: 1, min: code, max: code, sum: naturalOf(place, code) },
  );
}

/** What samples come to. */
export function rollUp(samples: Iterable<Codes>): Cell {
  let cell = emptyCell;
  for (const codes of samples) cell = addCells(cell, cellOf(codes));
  return cell;
}
