import { describe, expect, it } from 'vitest';
import type { CalendarWork } from './calendar.read-model.ts';
import { conflictsOf, type CalendarGroup } from './conflicts.policy.ts';
import { laneView, workView, type LaneException, type LaneSource } from './timeline.policy.ts';

const instant = (hour: number): Date => new Date(Date.UTC(2026, 10, 21, hour));

function work(planId: string, bend: Partial<CalendarWork> = {}): CalendarWork {
  return {
    ...{ id: planId, planId, number: null, title: planId, state: 'planned', startedAt: null },
    ...{ startsAt: instant(20), endsAt: instant(24), siteIds: ['s1'], hostIds: ['h1'] },
    ...{ expectedLowS: 3600, expectedHighS: 7200, fit: 'fits' },
    ...bend,
  };
}

const pair: CalendarGroup = { id: 'g1', name: 'Paire', hostIds: ['h1', 'h2'], siteIds: ['s1'], maxDown: 1 };
const nothing = { windows: [], freezes: [], groups: [pair] };
const codes = (open: readonly CalendarWork[], groups = [pair]): string[] =>
  conflictsOf({ ...nothing, groups, open }).map(({ code }) => code);

describe('conflicts', () => {
  it('name two members of one group in two plans at once, and the group', () => {
    const [found] = conflictsOf({ ...nothing, open: [work('a'), work('b', { hostIds: ['h2'] })] });
    expect(found).toMatchObject({
      code: 'group_members',
      groupId: 'g1',
      planIds: ['a', 'b'],
      values: { work: 'a', other: 'b', group: 'Paire', maxDown: 1 },
    });
  });

  it('are none when a budget allows both, when they follow each other, or when hosts have no group in common', () => {
    const other = work('b', { hostIds: ['h2'] });
    expect(codes([work('a'), other], [{ ...pair, maxDown: 2 }])).toEqual([]);
    expect(codes([work('a'), { ...other, startsAt: instant(24), endsAt: instant(25) }])).toEqual([]);
    expect(codes([work('a'), work('b', { hostIds: ['h3'] })])).toEqual([]);
    // One plan keeps to the budget by itself.
    expect(codes([work('a', { hostIds: ['h1', 'h2'] })])).toEqual([]);
  });

  it('say a shared host as such, not as two members of its group', () => {
    expect(codes([work('a'), work('b')])).toEqual(['shared_hosts']);
  });

  it('say of a plan that it need not fit, how long it takes and how long there is', () => {
    const [found] = conflictsOf({
      ...nothing,
      open: [work('a', { fit: 'does_not_fit', expectedHighS: 18_001 })],
    });
    expect(found).toMatchObject({ code: 'does_not_fit', values: { expected: 301, available: 240 } });
    expect(codes([work('a', { fit: 'unknown' })])).toEqual([]);
  });

  it('tell a freeze that takes a whole window from one that takes a part, and one elsewhere from both', () => {
    const say = (hour: number) => ({ at: instant(hour).toISOString(), local: '' });
    const cut = { freezeId: 'f', name: 'Bascule', start: say(22), end: say(24) };
    const clocks = { elapsedMinutes: 240, startNote: null, endNote: null };
    const occurrence = { start: say(20), end: say(24), cuts: [cut], ...clocks };
    const window = { windowId: 'w', name: 'Nuit', siteId: 's1', timeZone: 'Europe/Paris' };
    const windows = [
      { ...window, occurrence: { ...occurrence, pieces: [{ start: say(20), end: say(22) }] } },
      { ...window, occurrence: { ...occurrence, pieces: [] } },
    ];
    const freeze = { freezeId: 'f', name: 'Bascule', reason: '', siteId: 's2' };
    const freezes = [{ ...freeze, startsAt: instant(22).toISOString(), endsAt: instant(24).toISOString() }];
    const found = conflictsOf({ windows, freezes, groups: [], open: [work('a')] });
    expect(found.map(({ code, at }) => [code, at])).toEqual([
      ['window_frozen', instant(20).toISOString()],
      ['window_cut', instant(22).toISOString()],
    ]);
    const here = freezes.map((one) => ({ ...one, siteId: 's1' }));
    expect(conflictsOf({ windows: [], freezes: here, groups: [], open: [work('a')] })).toMatchObject([
      { code: 'in_freeze', at: instant(22).toISOString(), until: instant(24).toISOString() },
    ]);
  });
});

describe('a timeline', () => {
  it('expects an end from the moment at which a run began, and none of what is over', () => {
    expect(workView(work('a')).expectedEnd).toEqual({
      low: instant(21).toISOString(),
      high: instant(22).toISOString(),
    });
    const run = work('a', { number: 7, state: 'running', startedAt: instant(21) });
    expect(workView(run).expectedEnd?.low).toBe(instant(22).toISOString());
    expect(workView({ ...run, state: 'completed' }).expectedEnd).toBeNull();
    expect(workView(work('a', { expectedHighS: null })).expectedEnd).toBeNull();
  });

  it('puts work into the lanes of its hosts, and exceptions where their place is', () => {
    const lane = (kind: LaneSource['kind'], id: string, hostIds: string[]): LaneSource => ({
      ...{ kind, id, name: id, hosts: hostIds.length, maxDown: null, siteIds: ['s1'], hostIds },
    });
    const exception = (exceptionId: string, bend: Partial<LaneException>): LaneException => ({
      ...{ exceptionId, update: null, placeKind: 'tenant', placeId: null, placeName: null },
      ...{ startsAt: instant(1), endsAt: instant(9), ...bend },
    });
    const exceptions = [
      exception('all', {}),
      exception('group', { placeKind: 'group', placeId: 'g1' }),
      exception('site', { placeKind: 'site', placeId: 's2' }),
    ];
    const part = { planId: 'a', hostId: 'h2', wave: 3, state: 'planned', startedAt: null, endedAt: null };
    const facts = { works: [work('a', { hostIds: ['h2'] })], exceptions, groups: [pair], parts: [part] };
    expect(laneView(lane('host', 'h2', ['h2']), facts)).toMatchObject({
      works: [{ planId: 'a', hosts: 1, wave: 3, hostState: 'planned' }],
      exceptionIds: ['all', 'group'],
    });
    expect(laneView(lane('group', 'g9', ['h9']), facts)).toMatchObject({ works: [], exceptionIds: ['all'] });
  });
});
