import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxMetricPoints, measures, metricSteps } from '#contract/metrics.ts';
import { Curve, frameOf } from './curve.policy.ts';
import { cellOf, rollUp } from './tally.policy.ts';

const codes = (code: number) => measures.map(() => code);

describe('the frame of a curve', () => {
  it('covers what was asked in whole steps, few enough, and in no shorter ones than are needed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4e7 }),
        fc.integer({ min: 1, max: 800 * 1440 - 2880 }),
        (from, length) => {
          const frame = frameOf(from, from + length);
          if (frame === null) throw new Error('no step fits');
          const { stepMinutes } = frame;
          expect(frame.from).toBeLessThanOrEqual(from);
          expect(frame.to).toBeGreaterThanOrEqual(from + length);
          expect([frame.from % stepMinutes, frame.to % stepMinutes]).toEqual([0, 0]);
          expect((frame.to - frame.from) / stepMinutes).toBeLessThanOrEqual(maxMetricPoints);
          const shorter = metricSteps.filter((step) => step < stepMinutes * 60).at(-1);
          if (shorter !== undefined) expect(frameOf(from, from + length, shorter)).toBeNull();
        },
      ),
    );
  });

  it('is refused for no time, for too many points, for what is no instant and at the end of the calendar', () => {
    expect(frameOf(10, 10)).toBeNull();
    expect(frameOf(11, 10)).toBeNull();
    expect(frameOf(Number.NaN, 10)).toBeNull();
    expect(frameOf(0, 1440, 60)).toBeNull();
    const end = Date.parse('9999-12-31T23:59:00.000Z') / 60_000;
    expect(frameOf(end - 60, end, 60)).not.toBeNull();
    expect(frameOf(end - 60, end, 86_400)).toBeNull();
  });
});

describe('a curve', () => {
  it('puts samples and roll-ups where they began, and leaves out what lies outside', () => {
    const curve = new Curve({ from: 60, to: 180, stepMinutes: 60 });
    for (const [minute, code] of [
      [59, 900],
      [60, 100],
      [119, 300],
      [180, 900],
    ] as const)
      curve.addSample(minute, codes(code));
    curve.addCell(120, rollUp([codes(500), codes(700)]));
    curve.addCell(60, cellOf(measures.map(() => null)));
    const cpu = curve.series().find(({ measure }) => measure === 'cpuBusy');
    expect(cpu).toMatchObject({ unit: 'percent', min: [10, 50], avg: [20, 60], max: [30, 70] });
  });
});
