import { describe, expect, it } from 'vitest';
import type { DependencyArrow } from '#contract/group-rules.ts';
import type { DisruptionBudget } from '#contract/groups.ts';
import { findCycles, precedencesOf } from './order.graph.ts';
import { orderHosts, type OrderFacts, type RedundancyGroup } from './order.policy.ts';

const one = (hosts: number): DisruptionBudget => ({ kind: 'max_unavailable', hosts });
const wide = { firstSize: 50, size: 50 };

function group(
  name: string,
  hostIds: readonly string[],
  over: Partial<RedundancyGroup> = {},
): RedundancyGroup {
  return { name, hostIds, budget: one(1), ordered: false, ...over };
}

function facts(hostIds: readonly string[], over: Partial<OrderFacts> = {}): OrderFacts {
  return {
    hosts: hostIds.map((hostId) => ({ hostId, hostname: hostId, canary: false })),
    hostnames: new Map(),
    groups: [],
    dependencies: [],
    atlasHostIds: [],
    waves: wide,
    ...over,
  };
}

const arrow = (dependentId: string, kind: DependencyArrow['kind'], providerId: string): DependencyArrow => ({
  dependentId,
  providerId,
  kind,
});

/** Waves as text: hosts of one wave side by side, waves behind each other. */
function wavesOf(input: OrderFacts): string {
  const { placed } = orderHosts(input);
  const waves: string[][] = [];
  for (const { hostId, wave } of placed) (waves[wave - 1] ??= []).push(hostId);
  return waves.map((wave) => wave.join(' ')).join(' | ');
}

const reasonOf = (input: OrderFacts, hostId: string) =>
  orderHosts(input).placed.find((placement) => placement.hostId === hostId)?.reason;

describe('the order of a plan', () => {
  it('takes the members of a redundancy set one after the other, and says for whom each waits', () => {
    const input = facts(['a', 'b', 'c', 'x'], { groups: [group('web', ['a', 'b', 'c'])] });
    expect(wavesOf(input)).toBe('a x | b | c');
    expect(reasonOf(input, 'a')).toEqual({ code: 'first_free_place', values: {} });
    expect(reasonOf(input, 'c')).toEqual({
      code: 'group_budget',
      values: { group: 'web', host: 'b', wave: 2, maxDown: 1 },
    });
  });

  it('takes as many members at once as the budget allows, counted as down or as up', () => {
    const members = ['a', 'b', 'c', 'd', 'e'];
    expect(wavesOf(facts(members, { groups: [group('web', members, { budget: one(2) })] }))).toBe(
      'a b | c d | e',
    );
    const up: DisruptionBudget = { kind: 'min_up', hosts: 2 };
    expect(wavesOf(facts(members, { groups: [group('web', members, { budget: up })] }))).toBe('a b c | d e');
  });

  it('keeps to the explicit order of a group, whatever the names', () => {
    const input = facts(['a', 'b', 'c'], {
      groups: [group('sql', ['c', 'a', 'b'], { ordered: true, budget: one(3) })],
    });
    expect(wavesOf(input)).toBe('c | a | b');
    expect(reasonOf(input, 'b')).toEqual({
      code: 'group_order',
      values: { host: 'a', wave: 2, group: 'sql' },
    });
  });

  it('puts a guest before or after its hypervisor as the arrow says, and a service after what it needs', () => {
    expect(
      wavesOf(facts(['guest', 'hv'], { dependencies: [arrow('guest', 'guest_before_hypervisor', 'hv')] })),
    ).toBe('guest | hv');
    expect(
      wavesOf(facts(['guest', 'hv'], { dependencies: [arrow('guest', 'guest_after_hypervisor', 'hv')] })),
    ).toBe('hv | guest');
    const service = facts(['app', 'db'], { dependencies: [arrow('app', 'service_after_provider', 'db')] });
    expect(wavesOf(service)).toBe('db | app');
    expect(reasonOf(service, 'app')).toEqual({
      code: 'after_host',
      values: { host: 'db', wave: 1, kind: 'service_after_provider' },
    });
  });

  it('counts the guests of a hypervisor as down with it', () => {
    const input = facts(['hv1', 'hv2'], {
      groups: [group('dc', ['dc1', 'dc2'])],
      dependencies: [
        arrow('dc1', 'guest_before_hypervisor', 'hv1'),
        arrow('dc2', 'guest_before_hypervisor', 'hv2'),
      ],
    });
    expect(wavesOf(input)).toBe('hv1 | hv2');
    expect(reasonOf(input, 'hv2')?.values).toMatchObject({ group: 'dc', host: 'dc1' });
  });

  it('hands the order on through a host that is not in the plan', () => {
    const dependencies = [
      arrow('app', 'service_after_provider', 'db'),
      arrow('db', 'service_after_provider', 'san'),
    ];
    expect(wavesOf(facts(['app', 'san'], { dependencies }))).toBe('san | app');
  });

  it('keeps the host of ATLAS and the hypervisor under it for the end, one a wave', () => {
    const input = facts(['atlas', 'b', 'hv', 'z'], {
      dependencies: [arrow('atlas', 'guest_before_hypervisor', 'hv')],
      atlasHostIds: ['atlas'],
    });
    expect(wavesOf(input)).toBe('b z | atlas | hv');
    expect(reasonOf(input, 'hv')?.code).toBe('atlas_last');
  });

  it('refuses a plan in which something has to wait for the host that carries ATLAS', () => {
    const { refusals, placed } = orderHosts(
      facts(['hv', 'vm', 'x'], {
        dependencies: [arrow('vm', 'guest_after_hypervisor', 'hv')],
        atlasHostIds: ['hv'],
      }),
    );
    expect(refusals).toEqual([
      { code: 'atlas_not_last', hostIds: ['hv'], values: { host: 'hv', before: 'vm' } },
    ]);
    expect(placed.map(({ hostId }) => hostId)).toEqual(['vm', 'x']);
  });

  it('writes a cycle out host by host, with names', () => {
    const input = facts(['id-a', 'id-b', 'id-c', 'id-x'], {
      dependencies: [
        arrow('id-b', 'service_after_provider', 'id-a'),
        arrow('id-c', 'service_after_provider', 'id-b'),
        arrow('id-a', 'service_after_provider', 'id-c'),
        arrow('id-x', 'service_after_provider', 'id-c'),
      ],
    });
    const hosts = input.hosts.map((host) => ({ ...host, hostname: host.hostId.slice(3) }));
    expect(orderHosts({ ...input, hosts }).refusals).toEqual([
      {
        code: 'dependency_cycle',
        hostIds: ['id-a', 'id-b', 'id-c'],
        values: { path: 'a → b → c → a', hosts: 3 },
      },
    ]);
  });

  it('refuses a group that lets nobody go, and a hypervisor that takes too many members with it', () => {
    const min: DisruptionBudget = { kind: 'min_up', hosts: 2 };
    expect(
      orderHosts(facts(['a'], { groups: [group('duo', ['a', 'b'], { budget: min })] })).refusals,
    ).toEqual([{ code: 'group_too_small', hostIds: ['a'], values: { group: 'duo', host: 'a', members: 2 } }]);
    const { refusals } = orderHosts(
      facts(['hv'], {
        groups: [group('dc', ['dc1', 'dc2'])],
        dependencies: [
          arrow('dc1', 'guest_before_hypervisor', 'hv'),
          arrow('dc2', 'guest_before_hypervisor', 'hv'),
        ],
      }),
    );
    expect(refusals).toEqual([
      {
        code: 'budget_unreachable',
        hostIds: ['hv'],
        values: { group: 'dc', host: 'hv', members: 2, taken: 'dc1, dc2', down: 2, maxDown: 1 },
      },
    ]);
  });

  it('places ten thousand hosts in a hundred groups without going over them again and again', () => {
    const ids = Array.from({ length: 10_000 }, (_, n) => `h${String(n).padStart(5, '0')}`);
    const groups = Array.from({ length: 100 }, (_, n) =>
      group(
        `g${n}`,
        ids.filter((_id, index) => index % 100 === n),
        { budget: one(20) },
      ),
    );
    const { placed, refusals } = orderHosts(facts(ids, { groups, waves: { firstSize: 10, size: 500 } }));
    expect([placed.length, refusals.length]).toEqual([10_000, 0]);
  });
});

describe('the search for cycles', () => {
  it('says nothing of a cycle that concerns no host of the plan', () => {
    const arrows = precedencesOf(
      [],
      [arrow('a', 'service_after_provider', 'b'), arrow('b', 'service_after_provider', 'a')],
    );
    expect(findCycles(arrows, new Set(['c']))).toEqual([]);
    expect(findCycles(arrows, new Set(['b']))).toEqual([['b', 'a']]);
  });
});
