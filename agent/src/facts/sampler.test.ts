import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AgentFrame } from '#contract/agent-link.ts';
import { maxWaiting, Sampler } from './sampler.ts';

type MetricsFrame = Extract<AgentFrame, { type: 'metrics' }>;
const minuteMs = 60_000;
const codes = [1, 2, null, 4, 5, 6, 7, 8];

let sent: MetricsFrame[];
let isUp: boolean;
let sampler: Sampler;
let reads: number;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-11-22T10:00:20.000Z') });
  [sent, isUp, reads] = [[], true, 0];
  sampler = new Sampler({
    read: () => {
      reads += 1;
      return Promise.resolve([...codes]);
    },
    send: (frame) => {
      if (isUp && frame.type === 'metrics') sent.push(frame);
      return isUp;
    },
    onFault: (error) => {
      throw error;
    },
    random: () => 0.5,
  });
});

afterEach(() => {
  sampler.stop();
  vi.useRealTimers();
});

const minutes = (): number[] => sent.flatMap(({ samples }) => samples.map(([minute]) => minute));

describe('an agent that was asked for measures', () => {
  it('measures nothing before', async () => {
    await vi.advanceTimersByTimeAsync(10 * minuteMs);
    expect(reads).toBe(0);
  });

  it('sends one sample a minute at its own place in the minute, and a first one at once', async () => {
    sampler.measure(60);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(sent).toEqual([
      { type: 'metrics', dropped: 0, samples: [[Date.parse('2026-11-22T10:00:00Z') / minuteMs, ...codes]] },
    ]);
    await vi.advanceTimersByTimeAsync(10 * minuteMs);
    expect(new Set(minutes()).size).toBe(minutes().length);
    expect(minutes()).toHaveLength(10);
  });

  it('keeps its pace when the server asks again after each reconnection, and takes a new one', async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      sampler.measure(60);
      await vi.advanceTimersByTimeAsync(30_000);
    }
    expect(minutes().length).toBeLessThanOrEqual(11);
    const before = minutes().length;
    sampler.measure(300);
    await vi.advanceTimersByTimeAsync(20 * minuteMs);
    expect(minutes().length - before).toBeLessThanOrEqual(5);
  });

  it('keeps samples while the server is away and sends them in order when it is back, a few frames at a time', async () => {
    sampler.measure(60);
    await vi.advanceTimersByTimeAsync(minuteMs);
    isUp = false;
    await vi.advanceTimersByTimeAsync(1000 * minuteMs);
    const waiting = sampler.waiting;
    expect(waiting).toBeGreaterThanOrEqual(1000);
    isUp = true;
    sent = [];
    sampler.measure(60);
    await vi.advanceTimersByTimeAsync(minuteMs);
    expect(minutes()).toHaveLength(480);
    await vi.advanceTimersByTimeAsync(4 * minuteMs);
    expect(sampler.waiting).toBe(0);
    expect(minutes()).toEqual([...minutes()].sort((a, b) => a - b));
    expect(new Set(minutes()).size).toBe(waiting + 5);
  });

  it('throws the oldest away after a day, and says how many', async () => {
    isUp = false;
    sampler.measure(60);
    await vi.advanceTimersByTimeAsync((maxWaiting + 100) * minuteMs);
    expect(sampler.waiting).toBe(maxWaiting);
    isUp = true;
    await vi.advanceTimersByTimeAsync(minuteMs);
    expect(sent[0]?.dropped).toBeGreaterThanOrEqual(100);
    expect(sent[1]?.dropped).toBe(0);
  });

  it('lets what matters more leave first when the server is back', async () => {
    sampler.measure(60);
    await vi.advanceTimersByTimeAsync(4_000);
    sampler.measure(60);
    await vi.advanceTimersByTimeAsync(1_500);
    expect([reads, sent.length]).toEqual([2, 0]);
    await vi.advanceTimersByTimeAsync(minuteMs);
    expect(sent.length).toBeGreaterThan(0);
  });
});
