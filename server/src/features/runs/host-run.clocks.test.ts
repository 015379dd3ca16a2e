import { describe, expect, it } from 'vitest';
import { drive, minute } from '../../../../test/harness/host-run-drive.ts';
import { awake, comeBackMs, deadlineOf } from './host-run.clocks.ts';

describe('a host that works on while the server is away', () => {
  it('tells its result after the order would have run out', () => {
    for (const step of ['preflight', 'install', 'verify', 'commit'] as const) {
      const host = drive();
      host.upTo(step);
      host.tell({ type: 'delivered', step, attempt: 1 });
      const { state } = host.run;
      host.away(300 * minute);
      expect(host.run.state).toBe(state);
      host.tell({ type: 'back', knowsOpen: true });
      host.answer(step);
      expect(host.decisions()).not.toContain('clock_expired');
      expect(host.run.state).not.toBe(state);
    }
  });

  it('is not given up for the time in which nobody could have heard of it', () => {
    const host = drive();
    host.upTo('install');
    host.wait(minute);
    expect(host.run.state).toBe('agent_lost');
    host.away(120 * minute);
    expect(host.run.state).toBe('agent_lost');
    host.tell({ type: 'back', knowsOpen: true });
    expect(host.run.state).toBe('installing');
  });

  it('is lost, and given up in the end, when it does not come back either', () => {
    const host = drive();
    host.upTo('preflight');
    host.tell({ type: 'delivered', step: 'preflight', attempt: 1 });
    host.away(10 * minute);
    host.wait(minute);
    expect(host.run.state).toBe('agent_lost');
    host.wait(15 * minute);
    expect(host.run.state).toBe('failed');
  });

  it('has a moment and no more to speak when it is connected and says nothing of its order', () => {
    const host = drive();
    host.upTo('preflight');
    host.tell({ type: 'delivered', step: 'preflight', attempt: 1 });
    host.away(10 * minute);
    for (let heardMs = 0; heardMs < comeBackMs; heardMs += 30_000) {
      expect(host.run.state).toBe('preflight');
      host.tell({ type: 'heard' });
      host.wait(30_000);
    }
    expect(host.run.state).toBe('failed');
    expect(host.decisions()).toContain('clock_expired');
  });

  it('does not begin after its window because the server was away at its end', () => {
    const host = drive();
    host.away(300 * minute);
    expect(host.run.state).toBe('missed');
  });

  it('is due no sooner than it can be back, and looking twice changes nothing', () => {
    const host = drive();
    host.upTo('download');
    host.tell({ type: 'delivered', step: 'download', attempt: 1 });
    const sinceMs = host.now + 90 * minute;
    const once = awake(host.run, sinceMs);
    expect(deadlineOf(once)).toBe(sinceMs + host.run.terms.silenceMs);
    expect(awake(once, sinceMs)).toEqual(once);
  });
});
