import type { metrics as source } from '../fr/metrics.ts';

export const metrics: Readonly<Record<keyof typeof source, string>> = {
  'metrics.title': 'Measures',
  'metrics.span': 'Time shown',
  'metrics.hours': '3 hours',
  'metrics.day': 'Day',
  'metrics.week': 'Week',
  'metrics.month': 'Month',
  'metrics.never': 'No measures yet. The agent sends one a minute once it is connected.',
  'metrics.notThen': 'No measures in this time. Last one: {at}.',
  'metrics.band': 'Line: mean. Band: from least to greatest. A gap: nothing was measured.',
  'metrics.asTable': 'Mean values as a table',
  'metrics.from': 'From',
  'metrics.top': 'top of the chart: {value}',
  'metrics.cpuBusy': 'Processor busy',
  'metrics.memoryUsed': 'Memory used',
  'metrics.swapUsed': 'Swap used',
  'metrics.load1': 'Load (1 min)',
  'metrics.rootUsed': 'System disk used',
  'metrics.diskThroughput': 'Disks, read and written',
  'metrics.netReceived': 'Network received',
  'metrics.netSent': 'Network sent',
};
