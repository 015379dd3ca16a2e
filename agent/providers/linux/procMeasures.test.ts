import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { measures, type Measure } from '#contract/metrics.ts';
import {
  codesOf,
  createMeasurer,
  parseCpu,
  parseDisks,
  parseMemory,
  parseNetwork,
  type Codes,
  type Counters,
} from './procMeasures.ts';

const of = (codes: Codes, measure: Measure) => codes[measures.indexOf(measure)];

const before: Counters = {
  atMs: 1000,
  busyTicks: 100,
  allTicks: 1000,
  diskBytes: 0,
  receivedBytes: 5_000_000,
  sentBytes: 0,
};
const levels = {
  memory: parseMemory('MemTotal:       2000 kB\nMemAvailable:    500 kB\nSwapTotal:  0 kB\nSwapFree: 0 kB\n'),
  load1: 1.234,
  rootUsed: 0.5,
};

describe('measures of a Linux host', () => {
  it('count what waits for a disk as idle, and guests once', () => {
    // user nice system idle iowait irq softirq steal guest guest_nice
    expect(parseCpu('cpu  10 1 5 70 10 1 2 1 9 0\ncpu0 1 1 1 1\n')).toEqual({ allTicks: 100, busyTicks: 20 });
    expect(parseCpu('intr 1 2 3\n')).toBeNull();
  });

  it('count whole disks, not their partitions and not what lies on them', () => {
    const line = (name: string, read: number, written: number) =>
      `  8 0 ${name} 1 0 ${read} 0 1 0 ${written} 0 0 0 0`;
    const lines = [
      line('sda', 10, 20),
      line('sda1', 10, 20),
      line('dm-0', 10, 20),
      line('nvme0n1', 1, 1),
      line('nvme0n1p1', 1, 1),
      line('loop0', 9, 9),
    ];
    expect(parseDisks(lines.join('\n'))).toBe(32 * 512);
  });

  it('count interfaces that lead outside, once', () => {
    const line = (name: string, received: number, sent: number) =>
      `${name}: ${received} 1 0 0 0 0 0 0 ${sent} 1 0 0 0 0 0 0`;
    const text = [
      'Inter-| Receive',
      ' face |bytes',
      line('lo', 9, 9),
      line('  eth0', 100, 50),
      line('eth0.10', 9, 9),
    ];
    expect(parseNetwork([...text, line('docker0', 9, 9), line('host0', 1, 2)].join('\n'))).toEqual({
      receivedBytes: 101,
      sentBytes: 52,
    });
  });

  it('turn two readings into rates, and leave out what cannot be known', () => {
    const now = {
      ...before,
      atMs: 2000,
      busyTicks: 150,
      allTicks: 1200,
      diskBytes: 999_000,
      receivedBytes: 4,
    };
    const codes = codesOf(before, now, levels);
    expect(of(codes, 'cpuBusy')).toBe(250);
    expect(of(codes, 'memoryUsed')).toBe(750);
    expect(of(codes, 'swapUsed')).toBeNull();
    expect(of(codes, 'load1')).toBe(123);
    expect(of(codes, 'rootUsed')).toBe(500);
    expect(of(codes, 'diskThroughput')).toBe(3000);
    // The counter has begun anew: the interface was replaced.
    expect(of(codes, 'netReceived')).toBeNull();
    expect(of(codes, 'netSent')).toBe(0);
    expect(of(codesOf(null, now, levels), 'cpuBusy')).toBeNull();
    expect(codesOf(null, null, { memory: new Map(), load1: null, rootUsed: null })).toEqual(
      measures.map(() => null),
    );
  });

  it('are read from this very machine', async () => {
    const measure = createMeasurer();
    expect(of(await measure(), 'cpuBusy')).toBeNull();
    const untilMs = Date.now() + 60;
    while (Date.now() < untilMs) Math.sqrt(untilMs);
    await delay(20);
    const codes = await measure();
    expect(of(codes, 'cpuBusy')).toBeGreaterThan(0);
    for (const name of ['memoryUsed', 'load1', 'rootUsed'] as const)
      expect(of(codes, name)).toEqual(expect.any(Number));
  });
});
