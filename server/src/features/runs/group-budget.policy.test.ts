import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxDownOf } from '#contract/group-rules.ts';
import { hostRunStates } from '#contract/runs.ts';
import { holdOf, type HostFacts, type WatchedGroup } from './group-budget.policy.ts';

function host(hostId: string, over: Partial<HostFacts> = {}): HostFacts {
  return { hostId, hostname: `host-${hostId}`, connected: true, live: null, last: null, ...over };
}

const trio: WatchedGroup = {
  name: 'trio',
  hostIds: ['a', 'b', 'c'],
  budget: { kind: 'max_unavailable', hosts: 1 },
};
const none = new Map<string, string[]>();
const hold = (hosts: HostFacts[], group = trio, guests: ReadonlyMap<string, string[]> = none) =>
  holdOf('a', [group], { hosts, guests });
const waits = (cause: string, run = 7) => ({
  code: 'waits_for_group',
  values: { group: 'trio', host: 'host-b', cause, run, maxDown: 1 },
});

describe('a host of a group', () => {
  it('begins while every other member is up', () => {
    expect(hold([host('a'), host('b'), host('c')])).toBeNull();
    expect(
      hold([host('a'), host('b', { last: { state: 'committed', run: 7, settled: false } }), host('c')]),
    ).toBeNull();
  });

  it('waits from the first step of another member until that one is verified, in whatever run', () => {
    for (const state of ['preflight', 'downloading', 'installing', 'verifying', 'committing'] as const)
      expect(hold([host('a'), host('b', { live: { state, run: 7 } }), host('c')])).toEqual(waits('in_run'));
    expect(hold([host('b', { live: { state: 'agent_lost', run: 7 } })])).toEqual(waits('lost'));
  });

  it('waits for one that failed or went back unverified, until a person says that it is up', () => {
    for (const state of ['failed', 'rolled_back', 'rollback_failed'] as const) {
      expect(hold([host('b', { last: { state, run: 7, settled: false } })])).toEqual(waits(state));
      expect(hold([host('b', { last: { state, run: 7, settled: true } })])).toBeNull();
    }
    for (const state of ['cancelled', 'missed', 'superseded'] as const)
      expect(hold([host('b', { last: { state, run: 7, settled: false } })])).toBeNull();
  });

  it('waits for a member whose agent is silent, whatever a person said before', () => {
    expect(hold([host('b', { connected: false })])).toEqual(waits('silent', 0));
    const accepted = { state: 'failed', run: 7, settled: true } as const;
    expect(hold([host('b', { connected: false, last: accepted })])).toEqual(waits('silent', 0));
  });

  it('counts itself once, so that what it did before does not keep it from a new attempt', () => {
    expect(hold([host('a', { last: { state: 'failed', run: 7, settled: false } }), host('b')])).toBeNull();
  });

  it('waits for a member whose hypervisor is down, and a hypervisor waits for the members that it would not take down', () => {
    const guests = new Map([['hv', ['b']]]);
    expect(hold([host('b'), host('hv', { live: { state: 'restarting', run: 7 } })], trio, guests)).toEqual(
      waits('hypervisor'),
    );
    const below = new Map([['a', ['c']]]);
    const pair = { ...trio, hostIds: ['b', 'c'] };
    expect(hold([host('b', { live: { state: 'installing', run: 7 } }), host('c')], pair, below)).toEqual(
      waits('in_run'),
    );
  });

  it('never begins where the budget lets nobody go', () => {
    const all: WatchedGroup = { ...trio, budget: { kind: 'min_up', hosts: 3 } };
    expect(hold([host('a'), host('b'), host('c')], all)).toEqual({
      code: 'group_lets_none_go',
      values: { group: 'trio' },
    });
  });

  it('never begins when that would take one member more down than the budget, whatever the states', () => {
    const facts = fc.record({
      connected: fc.boolean(),
      live: fc.option(fc.constantFrom(...hostRunStates.filter((state) => state !== 'planned'))),
      settled: fc.boolean(),
      last: fc.option(fc.constantFrom(...hostRunStates)),
    });
    const budget = fc.record({
      kind: fc.constantFrom('max_unavailable' as const, 'min_up' as const),
      hosts: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(facts, { minLength: 4, maxLength: 4 }), budget, (rows, limit) => {
        const hosts = rows.map((row, index) =>
          host('abcd'[index] ?? '', {
            connected: row.connected,
            live: row.live === null ? null : { state: row.live, run: 1 },
            last: row.last === null ? null : { state: row.last, run: 1, settled: row.settled },
          }),
        );
        const group: WatchedGroup = { name: 'g', hostIds: ['a', 'b', 'c', 'd'], budget: limit };
        const bad = ['failed', 'rolled_back', 'rollback_failed'];
        const down = hosts.filter(
          ({ hostId, connected, live, last }) =>
            hostId === 'a' ||
            !connected ||
            live !== null ||
            (last !== null && bad.includes(last.state) && !last.settled),
        );
        expect(hold(hosts, group) === null).toBe(down.length <= maxDownOf(limit, 4));
      }),
    );
  });
});
