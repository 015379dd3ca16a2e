import { describe, expect, it } from 'vitest';
import { choosePrimary, describeDatabase, type Sight } from './primary.policy.ts';

const systemId = '7000000000000000001';
const away: Sight = { kind: 'away', why: 'connection refused' };

function primary(timeline: number, more: Partial<Extract<Sight, { kind: 'primary' }>> = {}): Sight {
  return { kind: 'primary', systemId, timeline, position: 1_000, isSynchronous: true, ...more };
}

function standby(more: Partial<Extract<Sight, { kind: 'standby' }>> = {}): Sight {
  return { kind: 'standby', systemId, received: 1_000, replayed: 1_000, isStreaming: true, ...more };
}

const choose = (sights: Sight[], timeline: number | null = null, current: number | null = null) =>
  choosePrimary({ sights, current, seen: timeline === null ? null : { systemId, timeline } });

describe('the database that is written to', () => {
  it('is the one that is no standby, wherever it stands in the setting', () => {
    expect(choose([primary(1), standby()]).index).toBe(0);
    expect(choose([standby(), primary(1)]).index).toBe(1);
    expect(choose([standby(), away]).index).toBeNull();
  });

  it('is the promoted one, not the former primary that still accepts writes', () => {
    const choice = choose([primary(1), primary(2)], 1, 0);
    expect(choice.index).toBe(1);
    expect(choice.refused.get(0)).toMatch(/former primary/);
  });

  it('is never a former primary, also when it is the only one there', () => {
    const choice = choose([primary(1), away], 2, 1);
    expect(choice.index).toBeNull();
    expect(choice.refused.get(0)).toMatch(/timeline 1, while 2/);
  });

  it('is never another database under the same address', () => {
    const choice = choose([primary(9, { systemId: '7000000000000000002' }), away], 1);
    expect(choice.index).toBeNull();
    expect(choice.refused.get(0)).toMatch(/another database/);
  });

  it('is nobody when two claim the same timeline and neither is in use', () => {
    const both = [primary(2), primary(2)];
    expect(choose(both, 1).index).toBeNull();
    expect(choose(both, 2, 1)).toMatchObject({ index: 1 });
    expect(choose(both, 2, 1).refused.has(0)).toBe(true);
  });

  it('is nobody when nothing is remembered and the addresses belong to different databases', () => {
    expect(choose([primary(1), primary(3, { systemId: '7000000000000000002' })]).index).toBeNull();
  });
});

describe('what is said of the database', () => {
  const said = (sights: Sight[], timeline: number | null = null) =>
    describeDatabase(['one:5432', 'two:5432'], sights, choose(sights, timeline));

  it('has nothing to warn of with a synchronous standby at its heels', () => {
    const report = said([primary(1, { position: 1_500 }), standby()]);
    expect(report.warnings).toEqual([]);
    expect(report.addresses.map(({ role, behindBytes }) => [role, behindBytes])).toEqual([
      ['serves', null],
      ['follows', 500],
    ]);
  });

  it('warns of a standby that is away, that receives nothing, or that follows another database', () => {
    for (const other of [away, standby({ isStreaming: false }), standby({ systemId: '7' })])
      expect(said([primary(1), other]).warnings).toEqual(['standby_missing']);
  });

  it('warns when a commit does not wait for the standby, and when that is far behind', () => {
    expect(said([primary(1, { isSynchronous: false }), standby()]).warnings).toEqual([
      'replication_asynchronous',
    ]);
    expect(said([primary(1, { position: 1e9 }), standby()]).warnings).toEqual(['standby_behind']);
  });

  it('warns of a former primary, which is no standby either', () => {
    const report = said([primary(1), primary(2)], 2);
    expect(report.addresses[0]).toMatchObject({ role: 'refused' });
    expect(report.warnings).toEqual(['primary_refused', 'standby_missing']);
  });

  it('warns when nothing may be written to', () => {
    expect(said([away, standby()]).warnings).toContain('no_primary');
  });
});
