import { maxMetricPoints, measures, metricSteps, scales, type HostMetrics } from '#contract/metrics.ts';
import { addCells, cellOf, meanOf, type Cell, type Codes } from './tally.policy.ts';

/** What is drawn: whole steps of minutes since the Unix epoch, the end not included. */
export interface Frame {
  readonly from: number;
  readonly to: number;
  readonly stepMinutes: number;
}

/** The last minute that an instant of the contract can name: its years have four figures. */
const endOfTime = Date.UTC(9999, 11, 31, 23, 59) / 60_000;

/**
 * Whole steps around the asked time. Without a step, the shortest that gives few enough points.
 * @returns null when the time is empty or at the end of the calendar, or the step gives too many points.
 */
export function frameOf(fromMinute: number, toMinute: number, stepS?: number): Frame | null {
  if (!(fromMinute < toMinute)) return null;
  const steps = stepS === undefined ? metricSteps : [stepS];
  for (const step of steps) {
    const stepMinutes = step / 60;
    const from = Math.floor(fromMinute / stepMinutes) * stepMinutes;
    const to = Math.ceil(toMinute / stepMinutes) * stepMinutes;
    const points = (to - from) / stepMinutes;
    if (points <= maxMetricPoints && to <= endOfTime) return { from, to, stepMinutes };
  }
  return null;
}

/** Percentages and loads to a hundredth, rates to a tenth of a kilobyte. */
function valueOf(place: number, code: number): number {
  const scale = scales[measures[place] ?? 'cpuBusy'];
  const factor = scale.unit === 'kBps' ? 10 : 100;
  return Math.round(scale.fromCode(code) * factor) / factor;
}

/** Puts samples and roll-ups into the points of a curve. */
export class Curve {
  readonly #frame: Frame;
  readonly #cells: (Cell | null)[];

  constructor(frame: Frame) {
    this.#frame = frame;
    this.#cells = Array.from({ length: (frame.to - frame.from) / frame.stepMinutes }, () => null);
  }

  addSample(minute: number, codes: Codes): void {
    this.addCell(minute, cellOf(codes));
  }

  /** Adds what begins at this minute; outside of the curve it is nothing. */
  addCell(minute: number, cell: Cell): void {
    const { from, stepMinutes } = this.#frame;
    const point = Math.floor((minute - from) / stepMinutes);
    if (point < 0 || point >= this.#cells.length) return;
    const before = this.#cells[point] ?? null;
    this.#cells[point] = before === null ? cell : addCells(before, cell);
  }

  series(): HostMetrics['series'] {
    return measures.map((measure, place) => {
      const tallies = this.#cells.map((cell) => cell?.[place] ?? null);
      return {
        measure,
        unit: scales[measure].unit,
        min: tallies.map((tally) => (tally === null ? null : valueOf(place, tally.min))),
        avg: tallies.map((tally) => (tally === null ? null : valueOf(place, meanOf(place, tally)))),
        max: tallies.map((tally) => (tally === null ? null : valueOf(place, tally.max))),
      };
    });
  }
}
