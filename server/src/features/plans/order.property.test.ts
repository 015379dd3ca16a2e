import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxDownOf } from '#contract/group-rules.ts';
import { dependencyKinds } from '#contract/groups.ts';
import { precedencesOf } from './order.graph.ts';
import { orderHosts, type OrderFacts } from './order.policy.ts';

const pool = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];
const subset = (minLength: number) => fc.uniqueArray(fc.constantFrom(...pool), { minLength, maxLength: 6 });
const anyBudget = fc.record({
  kind: fc.constantFrom('max_unavailable' as const, 'min_up' as const),
  hosts: fc.integer({ min: 0, max: 4 }),
});
const anyGroup = fc.record({
  name: fc.constantFrom('g1', 'g2', 'g3'),
  hostIds: subset(1),
  budget: anyBudget,
  ordered: fc.boolean(),
});
const anyArrow = fc
  .record({
    dependentId: fc.constantFrom(...pool),
    providerId: fc.constantFrom(...pool),
    kind: fc.constantFrom(...dependencyKinds),
  })
  .filter(({ dependentId, providerId }) => dependentId !== providerId);
const anyFacts: fc.Arbitrary<OrderFacts> = fc.record({
  hosts: subset(1).chain((ids) =>
    fc.tuple(
      ...ids.map((hostId) =>
        fc.record({ hostId: fc.constant(hostId), hostname: fc.constant(hostId), canary: fc.boolean() }),
      ),
    ),
  ),
  hostnames: fc.constant(new Map<string, string>()),
  groups: fc.array(anyGroup, { maxLength: 3 }),
  dependencies: fc.array(anyArrow, { maxLength: 8 }),
  atlasHostIds: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: subset(1) }),
  waves: fc.record({ firstSize: fc.integer({ min: 1, max: 4 }), size: fc.integer({ min: 1, max: 4 }) }),
});

/** Written apart from the planner: everything that is down while these hosts are. */
function down(input: OrderFacts, hostIds: readonly string[]): Set<string> {
  const all = new Set(hostIds);
  for (let grown = true; grown;) {
    const size = all.size;
    for (const { dependentId, providerId, kind } of input.dependencies)
      if (kind !== 'service_after_provider' && all.has(providerId)) all.add(dependentId);
    grown = all.size > size;
  }
  return all;
}

/** Written apart from the planner: pairs of hosts of which the first must be finished before the second begins. */
function mustPrecede(input: OrderFacts): Set<string> {
  const arrows = input.dependencies.map(({ dependentId, providerId, kind }) =>
    kind === 'guest_before_hypervisor' ? `${dependentId}${providerId}` : `${providerId}${dependentId}`,
  );
  const orders = input.groups
    .filter(({ ordered }) => ordered)
    .flatMap(({ hostIds }) =>
      hostIds.flatMap((first, index) => hostIds.slice(index + 1).map((second) => `${first}${second}`)),
    );
  const pairs = new Set([...arrows, ...orders]);
  const triples = pool.flatMap((via) => pool.flatMap((from) => pool.map((to) => [from, via, to])));
  for (const [from, via, to] of triples)
    if (pairs.has(`${from}${via}`) && pairs.has(`${via}${to}`)) pairs.add(`${from}${to}`);
  return pairs;
}

const runs = { numRuns: 400 };

describe('for any hosts, groups and dependencies the planner', () => {
  it('never takes more members of a group down in one wave than its budget', () => {
    fc.assert(
      fc.property(anyFacts, (input) => {
        const { placed } = orderHosts(input);
        for (const wave of new Set(placed.map((placement) => placement.wave))) {
          const together = down(
            input,
            placed.filter((placement) => placement.wave === wave).map(({ hostId }) => hostId),
          );
          for (const { hostIds, budget } of input.groups) {
            const most = maxDownOf(budget, hostIds.length);
            const members = hostIds.filter((hostId) => together.has(hostId)).length;
            expect(members === 0 || members <= most).toBe(true);
          }
        }
      }),
      runs,
    );
  });

  it('places every host exactly once or refuses it with a reason', () => {
    fc.assert(
      fc.property(anyFacts, (input) => {
        const { placed, refusals } = orderHosts(input);
        const refused = new Set(refusals.flatMap(({ hostIds }) => hostIds));
        const ids = input.hosts.map(({ hostId }) => hostId);
        expect(placed.map(({ hostId }) => hostId).sort()).toEqual(
          ids.filter((id) => !refused.has(id)).sort(),
        );
        expect(placed.map(({ order }) => order)).toEqual(placed.map((_, index) => index));
        const waves = placed.map(({ wave }) => wave);
        expect(waves).toEqual([...waves].sort((a, b) => a - b));
        expect(new Set(waves).size).toBe(waves.at(-1) ?? 0);
      }),
      runs,
    );
  });

  it('never fills a wave beyond its size', () => {
    fc.assert(
      fc.property(anyFacts, (input) => {
        const { placed } = orderHosts(input);
        for (const wave of new Set(placed.map((placement) => placement.wave))) {
          const size = placed.filter((placement) => placement.wave === wave).length;
          expect(size).toBeLessThanOrEqual(wave === 1 ? input.waves.firstSize : input.waves.size);
        }
      }),
      runs,
    );
  });

  it('respects every dependency and every explicit order, also through hosts outside of the plan', () => {
    fc.assert(
      fc.property(anyFacts, (input) => {
        const { placed } = orderHosts(input);
        const pairs = mustPrecede(input);
        const both = placed.flatMap((first) => placed.map((second) => [first, second] as const));
        for (const [first, second] of both)
          if (pairs.has(`${first.hostId}${second.hostId}`)) expect(first.wave).toBeLessThan(second.wave);
      }),
      runs,
    );
  });

  it('puts nothing beside or behind the hosts of ATLAS but the hosts of ATLAS', () => {
    fc.assert(
      fc.property(anyFacts, (input) => {
        const { placed } = orderHosts(input);
        const carriers = new Set(input.atlasHostIds);
        for (let size = -1; size !== carriers.size;) {
          size = carriers.size;
          for (const { dependentId, providerId, kind } of input.dependencies)
            if (kind !== 'service_after_provider' && carriers.has(dependentId)) carriers.add(providerId);
        }
        const first = placed.find(({ hostId }) => carriers.has(hostId));
        if (first === undefined) return;
        const tail = placed.slice(first.order);
        expect(tail.every(({ hostId }) => carriers.has(hostId))).toBe(true);
        expect(tail.map(({ wave }) => wave)).toEqual(tail.map((_, index) => first.wave + index));
      }),
      runs,
    );
  });

  it('gives an equal answer to equal input, in whatever order it came', () => {
    fc.assert(
      fc.property(anyFacts, (input) => {
        const turned = {
          ...input,
          hosts: [...input.hosts].reverse(),
          atlasHostIds: [...input.atlasHostIds].reverse(),
        };
        expect(orderHosts(turned)).toEqual(orderHosts(input));
      }),
      runs,
    );
  });

  it('finds a cycle exactly when a host of the plan must precede itself, and names arrows that exist', () => {
    fc.assert(
      fc.property(anyFacts, (input) => {
        const cycles = orderHosts(input).refusals.filter(({ code }) => code === 'dependency_cycle');
        const pairs = mustPrecede(input);
        const looped = input.hosts.map(({ hostId }) => hostId).filter((id) => pairs.has(`${id}${id}`));
        const named = new Set(cycles.flatMap(({ hostIds }) => hostIds));
        expect(looped.filter((id) => !named.has(id))).toEqual([]);
        expect(cycles.length > 0).toBe(looped.length > 0);
        const arrows = precedencesOf(input.groups, input.dependencies);
        for (const { hostIds, values } of cycles) {
          expect(values.path).toBe([...hostIds, hostIds[0]].join(' → '));
          for (const [index, before] of hostIds.entries()) {
            const after = hostIds[(index + 1) % hostIds.length];
            expect(arrows.some((one) => one.before === before && one.after === after)).toBe(true);
          }
        }
      }),
      runs,
    );
  });

  it('gives for each place a reason that is true', () => {
    fc.assert(
      fc.property(anyFacts, (input) => {
        const { placed } = orderHosts(input);
        const inWave = (wave: number) => placed.filter((placement) => placement.wave === wave);
        const pairs = mustPrecede(input);
        for (const { hostId, wave, reason } of placed) {
          const before = inWave(wave - 1);
          const { code, values } = reason;
          if (code === 'wave_full')
            expect(before).toHaveLength(wave === 2 ? input.waves.firstSize : input.waves.size);
          if (code === 'after_host' || code === 'group_order') {
            expect(before.map((placement) => placement.hostId)).toContain(values.host);
            expect(pairs.has(`${String(values.host)}${hostId}`)).toBe(true);
          }
          if (code === 'group_budget') {
            const together = down(input, [...before.map((placement) => placement.hostId), hostId]);
            const broken = input.groups.some(
              ({ name, hostIds, budget }) =>
                name === values.group &&
                hostIds.filter((id) => together.has(id)).length > maxDownOf(budget, hostIds.length),
            );
            expect(broken).toBe(true);
          }
          if (code === 'first_free_place' || code === 'canary_first') expect(wave).toBe(1);
        }
      }),
      runs,
    );
  });
});
