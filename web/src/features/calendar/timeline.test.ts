import { describe, expect, it } from 'vitest';
import type { Timeline, TimelineLane } from '#contract/calendar.ts';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { moveOf, moveRule } from './ruleMove.ts';
import { barsOf, moveBar } from './timelineBars.ts';
import { shareOf, spanOf, stepDay } from './timelineSpan.ts';

const hourMs = 3_600_000;
const lane: TimelineLane = {
  ...{ kind: 'group', id: 'g', name: 'Paire', hosts: 2, siteIds: ['s1'], maxDown: 1, exceptionIds: ['e'] },
  works: ['a', 'b'].map((planId) => ({
    ...{ planId, hosts: 1, wave: null, hostState: null, startedAt: null, endedAt: null },
  })),
};
const work = (planId: string, from: number, to: number) => ({
  ...{ planId, runId: null, number: null, title: planId, state: 'planned', hosts: 1, fit: null },
  ...{ startsAt: at(from), endsAt: at(to), expectedEnd: { low: at(from + 1), high: at(from + 2) } },
});
const timeline: Timeline = {
  ...{ lanes: [lane], nextCursor: null, windows: [], truncated: false },
  freezes: ['s1', 's2'].map((siteId) => ({
    ...{ freezeId: siteId, name: siteId, reason: '', siteId, startsAt: at(-40), endsAt: at(2) },
  })),
  works: [work('a', 10, 14), work('b', 12, 16)],
  exceptions: [{ exceptionId: 'e', update: null, placeName: 'web-1', startsAt: at(30), endsAt: at(40) }],
  conflicts: [
    {
      ...{ code: 'group_members', at: at(12), until: at(14), values: {}, planIds: ['a', 'b'] },
      ...{ groupId: 'other', windowId: null },
    },
  ],
};

function at(hour: number): string {
  return new Date(Date.UTC(2026, 10, 21, hour)).toISOString();
}

describe('a span', () => {
  it('is as long as its days are, also when the clock changes', () => {
    const hours = (day: string): number => {
      const { fromMs, toMs } = spanOf('day', day, 'Europe/Paris');
      return (toMs - fromMs) / hourMs;
    };
    expect(['2026-03-29', '2026-10-25', '2026-11-21'].map(hours)).toEqual([23, 25, 24]);
    expect(spanOf('month', '2026-02-14', 'Pacific/Noumea').ticks).toHaveLength(28);
    expect(spanOf('week', '2026-11-21', 'UTC').fromMs).toBe(Date.UTC(2026, 10, 16));
  });

  it('moves by its own length, and places what is outside at its edge', () => {
    const days = (['day', 'week', 'month'] as const).map((zoom) => stepDay(zoom, '2026-12-31', 1));
    expect(days).toEqual(['2027-01-01', '2027-01-07', '2027-01-31']);
    expect([-5, 5, 15].map((ms) => shareOf(ms, { fromMs: 0, toMs: 10 }))).toEqual([0, 50, 100]);
  });
});

describe('bars of a lane', () => {
  const span = spanOf('day', '2026-11-21', 'UTC');

  it('are those of its site and of the span, and none lies on another', () => {
    const bars = barsOf(timeline, lane, span);
    expect(bars.map(({ key, line }) => [key.slice(0, 3), line])).toEqual([
      ['fs1', 0],
      ['pa', 0],
      ['pb', 1],
    ]);
    expect(bars[0]).toMatchObject({ left: 0 });
    expect(bars[1]?.expectedLeft).toBeCloseTo((11 / 24) * 100);
  });

  it('carry the conflicts of their own group, and those of every group where the lane is none', () => {
    expect(barsOf(timeline, lane, span).flatMap(({ conflicts }) => conflicts)).toEqual([]);
    const host = { ...lane, kind: 'host' as const };
    expect(barsOf(timeline, host, span).map(({ conflicts }) => conflicts.length)).toEqual([1, 1]);
  });

  it('are reached by arrows: the next one in time, and the nearest of another lane', () => {
    const bars = barsOf(timeline, lane, span);
    const go = (lanes: (typeof bars)[], key: string, pressed: string) =>
      moveBar(lanes, { lane: 0, key }, pressed);
    expect(go([bars], 'pa', 'ArrowRight')).toEqual({ lane: 0, key: 'pb' });
    expect(go([bars], 'pb', 'ArrowRight')).toEqual({ lane: 0, key: 'pb' });
    expect(go([bars, [], bars], 'pb', 'ArrowDown')).toEqual({ lane: 2, key: 'pb' });
    expect(go([bars], 'pb', 'ArrowDown')).toBeNull();
    expect(go([bars], 'pb', 'x')).toBeNull();
  });
});

describe('a rule moved by keys', () => {
  const window = { startTime: '22:00', durationMinutes: 60, version: 3 } as MaintenanceWindow;
  const press = (key: string, shiftKey = false) => moveOf({ key, altKey: true, shiftKey }, 30) ?? fail();

  function fail(): never {
    throw new Error('this key moves nothing');
  }

  it('begins at another hour, or lasts longer, and keeps the version that was read', () => {
    const draft = { kind: 'window', rule: window } as const;
    expect(moveRule(draft, press('ArrowRight'))?.rule).toEqual({ ...window, startTime: '22:30' });
    expect(moveRule(draft, press('ArrowRight', true))?.rule).toEqual({ ...window, durationMinutes: 90 });
    expect(moveOf({ key: 'ArrowRight', altKey: false, shiftKey: false }, 30)).toBeNull();
  });

  it('stays in its day, and never gets shorter than a quarter of an hour', () => {
    const late = { kind: 'window', rule: { ...window, startTime: '23:45' } } as const;
    expect(moveRule(late, press('ArrowRight'))).toBeNull();
    const short = { kind: 'window', rule: { ...window, durationMinutes: 30 } } as const;
    expect(moveRule(short, press('ArrowLeft', true))).toBeNull();
  });

  it('moves a freeze of one time over midnight, whole', () => {
    const when = { kind: 'once', startsAt: at(23), endsAt: at(25) } as const;
    const moved = moveRule(
      { kind: 'freeze', rule: { when } as Freeze },
      moveOf({ key: 'ArrowRight', altKey: true, shiftKey: false }, 120) ?? fail(),
    );
    expect(moved?.rule).toEqual({ when: { kind: 'once', startsAt: at(25), endsAt: at(27) } });
  });
});
