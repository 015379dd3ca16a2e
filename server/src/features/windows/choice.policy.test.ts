import { describe, expect, it } from 'vitest';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { chooseTime, fitOf, type Expected } from './choice.policy.ts';

const hour = 3_600_000;
const minute = 60_000;
const monday = Date.parse('2026-11-23T08:00:00.000Z');
const row = { createdAt: '', updatedAt: '', version: 1, siteId: null };

const weekend: MaintenanceWindow = {
  ...row,
  id: 'weekend',
  name: 'Week-end',
  timeZone: 'UTC',
  startsOn: '2026-11-01',
  startTime: '20:00',
  rule: 'FREQ=WEEKLY;BYDAY=SA',
  durationMinutes: 960,
  startCutOffMinutes: 120,
  rebootReserveMinutes: 60,
  hardStopMinutes: 30,
};
const tuesday: MaintenanceWindow = {
  ...weekend,
  id: 'tuesday',
  name: 'Mardi',
  rule: 'FREQ=WEEKLY;BYDAY=TU',
  durationMinutes: 180,
};

function freeze(
  name: string,
  [startsAt, endsAt]: readonly [string, string],
  siteId: string | null = null,
): Freeze {
  return { ...row, siteId, id: name, name, reason: '', when: { kind: 'once', startsAt, endsAt } };
}

function lasting(hours: number, spread = 0): Expected {
  const [lowMs, highMs] = [hours * hour, (hours + spread) * hour];
  const starts = { lastStartLowMs: 0, lastStartHighMs: 0, lastChangeLowMs: 0, lastChangeHighMs: 0 };
  return { lowMs, highMs, ...starts, runs: 9, hostsOnLimits: 0 };
}

const choose = (
  windows: MaintenanceWindow[],
  context: { freezes?: Freeze[]; expected?: Expected | null; nowMs?: number } = {},
) => chooseTime(windows, { freezes: [], expected: null, nowMs: monday, siteIds: ['paris'], ...context });

const at = (ms: number | undefined): string => new Date(ms ?? Number.NaN).toISOString().slice(0, 16);

describe('the time that a plan takes', () => {
  it('is the earliest of several windows, with its cut-off, reserve and hard stop', () => {
    const { chosen } = choose([weekend, tuesday]);
    expect(chosen?.window.name).toBe('Mardi');
    expect([chosen?.startMs, chosen?.endMs].map(at)).toEqual(['2026-11-24T20:00', '2026-11-24T23:00']);
    expect([chosen?.startByMs, chosen?.changeByMs, chosen?.hardStopMs].map(at)).toEqual([
      '2026-11-24T21:00',
      '2026-11-24T22:00',
      '2026-11-24T23:30',
    ]);
  });

  it('passes over a window into which the plan does not fit, and says so', () => {
    const { chosen, considered } = choose([weekend, tuesday], { expected: lasting(5) });
    expect([chosen?.window.name, chosen?.fit]).toEqual(['Week-end', 'fits']);
    expect(considered.map(({ window, code }) => [window.name, code])).toEqual([
      ['Mardi', 'does_not_fit'],
      ['Week-end', 'chosen'],
    ]);
  });

  it('is one into which the plan may fit when there is none into which it does', () => {
    expect(choose([tuesday], { expected: lasting(2, 2) }).chosen?.fit).toBe('may_not_fit');
    expect(choose([tuesday], { expected: lasting(9) }).chosen?.fit).toBe('does_not_fit');
  });

  it('never lies in a freeze: what is left of the window is taken, or the next one', () => {
    const end = freeze('Bascule', ['2026-11-24T22:30:00.000Z', '2026-11-25T06:00:00.000Z']);
    const cut = choose([tuesday], { freezes: [end] }).chosen;
    // The freeze that follows ends the grace too.
    expect([cut?.endMs, cut?.startByMs, cut?.hardStopMs].map(at)).toEqual([
      '2026-11-24T22:30',
      '2026-11-24T20:30',
      '2026-11-24T22:30',
    ]);
    const whole = freeze('Clôture', ['2026-11-24T00:00:00.000Z', '2026-11-25T00:00:00.000Z']);
    const next = choose([tuesday], { freezes: [whole] });
    expect(at(next.chosen?.startMs)).toBe('2026-12-01T20:00');
    expect(next.considered.map(({ code, freezes }) => [code, freezes])).toEqual([
      ['frozen', ['Clôture']],
      ['chosen', []],
    ]);
  });

  it('is none, with the names, when freezes take every occurrence', () => {
    const always = freeze('Toujours', ['2026-01-01T00:00:00.000Z', '2030-01-01T00:00:00.000Z']);
    const { chosen, considered } = choose([tuesday], { freezes: [always] });
    expect(chosen).toBeNull();
    expect(new Set(considered.flatMap(({ freezes }) => freezes))).toEqual(new Set(['Toujours']));
  });

  it('is not touched by a freeze of another site', () => {
    const elsewhere = freeze('Nouméa', ['2026-11-24T00:00:00.000Z', '2026-11-25T00:00:00.000Z'], 'noumea');
    expect(at(choose([tuesday], { freezes: [elsewhere] }).chosen?.startMs)).toBe('2026-11-24T20:00');
  });

  it('may be a window that is open, but not after its cut-off', () => {
    const open = Date.parse('2026-11-24T20:59:00.000Z');
    expect(at(choose([tuesday], { nowMs: open }).chosen?.startMs)).toBe('2026-11-24T20:00');
    expect(at(choose([tuesday], { nowMs: open + minute }).chosen?.startMs)).toBe('2026-12-01T20:00');
  });
});

describe('whether a plan fits', () => {
  const span = {
    startMs: 0,
    endMs: 4 * hour,
    startByMs: 2 * hour,
    changeByMs: 3 * hour,
    hardStopMs: 5 * hour,
  };

  it('asks that its last wave starts before the cut-off, too', () => {
    const late = { ...lasting(3), lastStartLowMs: 2.5 * hour, lastStartHighMs: 2.5 * hour };
    expect(fitOf(span, lasting(3))).toEqual({ fit: 'fits', limit: null });
    expect(fitOf(span, late)).toEqual({ fit: 'does_not_fit', limit: 'start_cut_off' });
    expect(fitOf(span, null)).toEqual({ fit: 'unknown', limit: null });
  });

  it('asks that its last restart begins before the reserve, and that it ends before the hard stop', () => {
    const restarts = { ...lasting(3), lastChangeLowMs: 2 * hour, lastChangeHighMs: 3.5 * hour };
    expect(fitOf(span, restarts)).toEqual({ fit: 'may_not_fit', limit: 'reboot_reserve' });
    expect(fitOf(span, lasting(3, 1.5))).toEqual({ fit: 'may_not_fit', limit: 'window_end' });
    expect(fitOf({ ...span, endMs: 5 * hour }, lasting(6))).toEqual({
      fit: 'does_not_fit',
      limit: 'window_end',
    });
  });

  it('says nothing of hosts without history, unless even the limits of their steps fit', () => {
    const least = (hours: number) => ({ ...lasting(hours), hostsOnLimits: 1 });
    expect(fitOf(span, least(3)).fit).toBe('fits');
    expect(fitOf(span, least(30))).toEqual({ fit: 'unknown', limit: 'window_end' });
  });
});
