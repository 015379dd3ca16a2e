import { describe, expect, it, vi } from 'vitest';
import type { Clock } from './clock.ts';
import { createLogger } from './log.ts';
import { Ticker } from './ticker.ts';

/** Time passes when the test says so; whoever waits is remembered with how long. */
function handClock() {
  const waits: { readonly durationMs: number; readonly end: () => void }[] = [];
  const clock: Clock = {
    now: () => 0,
    sleep: (durationMs, signal) =>
      new Promise((resolve) => {
        signal?.addEventListener('abort', () => resolve(), { once: true });
        if (signal?.aborted) resolve();
        else waits.push({ durationMs, end: resolve });
      }),
  };
  return { clock, waits };
}

function setUp(tick: () => Promise<void>) {
  const { clock, waits } = handClock();
  const log = createLogger({ level: 'silent', role: 'test' });
  const warn = vi.spyOn(log, 'warn');
  const ticker = new Ticker({ clock, log }, { everyMs: 500, tick, complaint: 'it failed' });
  return { ticker, waits, warn };
}

describe('what takes turns', () => {
  it('takes one at once, and another after each pause', async () => {
    const tick = vi.fn(() => Promise.resolve());
    const { ticker, waits } = setUp(tick);
    ticker.start();
    ticker.start();
    await vi.waitFor(() => expect(waits.map(({ durationMs }) => durationMs)).toEqual([500]));
    expect(tick).toHaveBeenCalledTimes(1);
    waits[0]?.end();
    await vi.waitFor(() => expect(waits).toHaveLength(2));
    expect(tick).toHaveBeenCalledTimes(2);
    await ticker.stop();
    expect(tick).toHaveBeenCalledTimes(2);
  });

  it('goes on after a turn that failed, and says so', async () => {
    const tick = vi.fn().mockRejectedValueOnce(new Error('no database')).mockResolvedValue(undefined);
    const { ticker, waits, warn } = setUp(tick);
    ticker.start();
    await vi.waitFor(() => expect(waits).toHaveLength(1));
    expect(warn).toHaveBeenCalledWith(
      { err: expect.objectContaining({ message: 'no database' }) },
      'it failed',
    );
    waits[0]?.end();
    await vi.waitFor(() => expect(tick).toHaveBeenCalledTimes(2));
    await ticker.stop();
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('is stopped only when the turn under way has ended, and tells it to hurry', async () => {
    let end: () => void = () => undefined;
    const tick = vi.fn(() => new Promise<void>((resolve) => (end = resolve)));
    const { ticker } = setUp(tick);
    ticker.start();
    await vi.waitFor(() => expect(tick).toHaveBeenCalledTimes(1));
    let isStopped = false;
    const stopped = ticker.stop().then(() => (isStopped = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect([isStopped, ticker.stopping.aborted]).toEqual([false, true]);
    end();
    await stopped;
  });
});
