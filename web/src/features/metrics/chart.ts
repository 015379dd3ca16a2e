/** Points of a curve: least, mean and greatest value of each step; null where nothing was measured. */
export interface Points {
  readonly min: readonly (number | null)[];
  readonly avg: readonly (number | null)[];
  readonly max: readonly (number | null)[];
}

export interface Plane {
  readonly width: number;
  readonly height: number;
  /** Value at the upper edge; the lower edge is zero. */
  readonly top: number;
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** Neighbouring points that were measured, as [first, after the last]: what lies between two of them stays empty. */
export function runsOf(values: readonly (number | null)[]): [number, number][] {
  const runs: [number, number][] = [];
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] === null || values[at] === undefined) continue;
    const last = runs.at(-1);
    if (last?.[1] === at) last[1] = at + 1;
    else runs.push([at, at + 1]);
  }
  return runs;
}

function placer(count: number, { width, height, top }: Plane) {
  return {
    x: (at: number): number => round((at / count) * width),
    y: (value: number): number => round(height - (Math.min(value, top) / top) * height),
  };
}

/** An SVG path through the means. A step is as wide as it lasted, so that one alone can be seen too. */
export function linePath({ avg }: Points, plane: Plane): string {
  const { x, y } = placer(avg.length, plane);
  return runsOf(avg)
    .map(([first, end]) => {
      const middles = avg.slice(first, end).map((value, n) => `${x(first + n + 0.5)} ${y(value ?? 0)}`);
      const [from, to] = [y(avg[first] ?? 0), y(avg[end - 1] ?? 0)];
      return `M${x(first)} ${from}L${middles.join('L')}L${x(end)} ${to}`;
    })
    .join('');
}

/** An SVG path around what lies between least and greatest. */
export function bandPath({ min, avg, max }: Points, plane: Plane): string {
  const { x, y } = placer(avg.length, plane);
  return runsOf(avg)
    .map(([first, end]) => {
      const upper = max.slice(first, end).map((value, n) => `${x(first + n + 0.5)} ${y(value ?? 0)}`);
      const lower = min.slice(first, end).map((value, n) => `${x(first + n + 0.5)} ${y(value ?? 0)}`);
      return `M${upper.join('L')}L${lower.reverse().join('L')}Z`;
    })
    .join('');
}

/** A round number not below the greatest value: 1, 2 or 5 times a power of ten. */
export function niceTop(max: readonly (number | null)[], least: number): number {
  const greatest = max.reduce<number>((so, value) => Math.max(so, value ?? 0), least);
  const power = 10 ** Math.floor(Math.log10(greatest));
  return ([1, 2, 5, 10].find((factor) => factor * power >= greatest) ?? 10) * power;
}

/** The last measured value; null when there is none. */
export function latestOf(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}
