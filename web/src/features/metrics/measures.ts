import type { HostMetrics, Measure } from '#contract/metrics.ts';
import type { MessageKey } from '../../messages/fr.ts';
import { showBytes, showNumber } from '../../show.ts';

export const measureNames: Readonly<Record<Measure, MessageKey>> = {
  cpuBusy: 'metrics.cpuBusy',
  memoryUsed: 'metrics.memoryUsed',
  swapUsed: 'metrics.swapUsed',
  load1: 'metrics.load1',
  rootUsed: 'metrics.rootUsed',
  diskThroughput: 'metrics.diskThroughput',
  netReceived: 'metrics.netReceived',
  netSent: 'metrics.netSent',
};

const bytesPerKb = 1000;

/** A value with its unit, in the reader's language. */
export function showMeasure(unit: HostMetrics['series'][number]['unit'], value: number): string {
  if (unit === 'kBps') return `${showBytes(value * bytesPerKb)}/s`;
  const number = showNumber(Math.round(value * 10) / 10);
  return unit === 'percent' ? `${number}\u00a0%` : showNumber(value);
}
