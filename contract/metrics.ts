import { Type, type Static } from 'typebox';
import { defineRoute } from '#contract/route.ts';
import { Instant, OneOf, OrNull, Strict, Uuid } from '#contract/schema.ts';

/**
 * What every sample of a host holds, in the order in which it is sent and kept:
 * processor busy, memory used, swap used (per cent of what there is), load average over a minute, root file system used
 * (per cent), disks read and written, network received, network sent (kilobytes, 1,000 bytes, a second).
 */
export const measures = [
  'cpuBusy',
  'memoryUsed',
  'swapUsed',
  'load1',
  'rootUsed',
  'diskThroughput',
  'netReceived',
  'netSent',
] as const;
export type Measure = (typeof measures)[number];

const measureUnits = ['percent', 'load', 'kBps'] as const;
type MeasureUnit = (typeof measureUnits)[number];

/** A code is what a sample carries of a measure: a whole number from 0 to `maxCode` that fits 16 bits. */
interface Scale {
  readonly unit: MeasureUnit;
  readonly maxCode: number;
  readonly toCode: (value: number) => number;
  readonly fromCode: (code: number) => number;
}

const linear = (unit: MeasureUnit, perUnit: number, maxCode: number): Scale => ({
  unit,
  maxCode,
  toCode: (value) => Math.min(Math.max(Math.round(value * perUnit), 0), maxCode),
  fromCode: (code) => code / perUnit,
});

/** A thousandth of a decade a step (0.23 per cent): from one byte to a terabyte a second in 16 bits. */
const logarithmic: Scale = {
  unit: 'kBps',
  maxCode: 9000,
  toCode: (value) => Math.min(Math.round(1000 * Math.log10(1 + Math.max(value, 0))), 9000),
  fromCode: (code) => 10 ** (code / 1000) - 1,
};

const percent = linear('percent', 10, 1000);

/** How each measure is written as a code. */
export const scales: Readonly<Record<Measure, Scale>> = {
  cpuBusy: percent,
  memoryUsed: percent,
  swapUsed: percent,
  load1: linear('load', 100, 32_000),
  rootUsed: percent,
  diskThroughput: logarithmic,
  netReceived: logarithmic,
  netSent: logarithmic,
};

const Code = (measure: Measure) => OrNull(Type.Integer({ minimum: 0, maximum: scales[measure].maxCode }));

/** One sample: its minute (minutes since the Unix epoch), then a code for each measure; null where it cannot be read. */
export const MetricSample = Type.Tuple([
  Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }),
  Code('cpuBusy'),
  Code('memoryUsed'),
  Code('swapUsed'),
  Code('load1'),
  Code('rootUsed'),
  Code('diskThroughput'),
  Code('netReceived'),
  Code('netSent'),
]);

/** Samples of one frame at most. */
export const maxSamplesPerFrame = 240;
/** Seconds between two samples; below a minute there would be two in one, beyond a quarter of an hour nothing to see. */
export const samplingPeriodS = { minimum: 60, maximum: 900 } as const;

/** Lengths of time, seconds, by which an answer may be divided. */
export const metricSteps = [60, 300, 900, 3600, 21_600, 86_400] as const;
/** Points of one answer at most. */
export const maxMetricPoints = 800;

const Points = Type.Array(OrNull(Type.Number()), { maxItems: maxMetricPoints });

/**
 * Measures of one host, point by point: point n covers `stepS` seconds from `from` + n × `stepS`. Null where nothing was
 * measured. Least, mean and greatest value in the measure's unit.
 */
export const HostMetrics = Strict({
  from: Instant,
  to: Instant,
  stepS: Type.Integer({ minimum: 60 }),
  /** When this host was last measured; null when it never was, or too long ago for anything to be kept. */
  lastSampleAt: OrNull(Instant),
  series: Type.Array(
    Strict({
      measure: OneOf(measures),
      unit: OneOf(measureUnits),
      min: Points,
      avg: Points,
      max: Points,
    }),
  ),
});

export const metricsRoutes = {
  getHostMetrics: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/hosts/:hostId/metrics',
    permission: 'fleet.read',
    audit: null,
    summary: 'Measures of a host over a time, as least, mean and greatest value of each step',
    params: Strict({ tenantId: Uuid, hostId: Uuid }),
    query: Strict({
      /** Widened to whole steps. */
      from: Instant,
      to: Instant,
      /** Seconds; the shortest that gives few enough points when absent. */
      step: Type.Optional(
        Type.Unsafe<(typeof metricSteps)[number]>({ type: 'integer', enum: [...metricSteps] }),
      ),
    }),
    response: HostMetrics,
  }),
};

export type MetricSample = Static<typeof MetricSample>;
export type HostMetrics = Static<typeof HostMetrics>;
