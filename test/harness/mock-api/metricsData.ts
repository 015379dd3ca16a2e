import { maxMetricPoints, measures, metricSteps, scales, type HostMetrics } from '#contract/metrics.ts';

const minuteMs = 60_000;

/** A made-up host: curves with a band around them, and a gap in the middle of each. */
export function metricsOf({ from = '', to = '' }: Readonly<Record<string, string>>): HostMetrics {
  const spanS = (Date.parse(to) - Date.parse(from)) / 1000;
  const stepS = metricSteps.find((step) => spanS / step <= maxMetricPoints - 2) ?? 86_400;
  const startMs = Math.floor(Date.parse(from) / (stepS * 1000)) * stepS * 1000;
  const count = Math.ceil(spanS / stepS);
  return {
    from: new Date(startMs).toISOString(),
    to: new Date(startMs + count * stepS * 1000).toISOString(),
    stepS,
    lastSampleAt: new Date(Math.floor(Date.parse(to) / minuteMs) * minuteMs).toISOString(),
    series: measures.map((measure, place) => {
      const { unit } = scales[measure];
      const height = { percent: 30, load: 1.5, kBps: 4000 }[unit];
      const avg = Array.from({ length: count }, (_, step) => {
        const isGap = step > count * 0.4 && step < count * 0.5;
        return isGap ? null : Math.round(height * (1.2 + Math.sin((step / count) * 12 + place)) * 10) / 10;
      });
      const around = (factor: number) => avg.map((value) => (value === null ? null : value * factor));
      return { measure, unit, avg, min: around(0.7), max: around(1.4) };
    }),
  };
}
