import { guestsByHypervisor, maxDownOf, takenDownWith, type DependencyArrow } from '#contract/group-rules.ts';
import type { DisruptionBudget } from '#contract/groups.ts';
import type { OrderRefusal, placementCodes } from '#contract/plans.ts';
import {
  findCycles,
  precedencesOf,
  predecessorsOf,
  type Precedence,
  type Predecessor,
} from './order.graph.ts';

/** A redundancy set: its members, in their explicit order when `ordered`, and how many may be down at once. */
export interface RedundancyGroup {
  readonly name: string;
  readonly hostIds: readonly string[];
  readonly budget: DisruptionBudget;
  readonly ordered: boolean;
}

interface HostToOrder {
  readonly hostId: string;
  readonly hostname: string;
  /** Goes first where nothing else decides. */
  readonly canary: boolean;
}

export interface OrderFacts {
  /** Hosts that the plan changes, in any order. */
  readonly hosts: readonly HostToOrder[];
  /** Hosts that groups and dependencies speak of, also outside of the plan. */
  readonly hostnames: ReadonlyMap<string, string>;
  readonly groups: readonly RedundancyGroup[];
  readonly dependencies: readonly DependencyArrow[];
  /** Hosts on which ATLAS itself runs. */
  readonly atlasHostIds: readonly string[];
  readonly waves: { readonly firstSize: number; readonly size: number };
}

/** Why a host is in its wave and not in the one before. */
interface Placement {
  readonly hostId: string;
  readonly wave: number;
  readonly order: number;
  readonly reason: {
    readonly code: (typeof placementCodes)[number];
    readonly values: Record<string, string | number>;
  };
}

interface Ordering {
  readonly placed: readonly Placement[];
  readonly refusals: readonly OrderRefusal[];
}

interface Budgeted {
  readonly name: string;
  readonly members: ReadonlySet<string>;
  readonly maxDown: number;
}

/** What the placing looks up again and again. */
interface Lookup {
  readonly facts: OrderFacts;
  readonly hosts: readonly HostToOrder[];
  readonly groups: readonly Budgeted[];
  readonly downWith: (hostId: string) => ReadonlySet<string>;
  readonly precedences: readonly Precedence[];
  readonly carriers: ReadonlySet<string>;
  readonly nameOf: (hostId: string) => string;
}

/** Canaries first, then by name: the same request always gives the same order. */
function inOrder(hosts: readonly HostToOrder[]): HostToOrder[] {
  const keyOf = ({ canary, hostname, hostId }: HostToOrder) => `${canary ? 0 : 1} ${hostname} ${hostId}`;
  return hosts
    .map((host) => ({ host, key: keyOf(host) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ host }) => host);
}

/** The hosts on which ATLAS runs, and every hypervisor under them. */
function carriersOf(facts: OrderFacts): Set<string> {
  const carriers = new Set(facts.atlasHostIds);
  for (const one of carriers)
    for (const { dependentId, providerId, kind } of facts.dependencies)
      if (dependentId === one && kind !== 'service_after_provider') carriers.add(providerId);
  return carriers;
}

function lookupOf(facts: OrderFacts): Lookup {
  const guests = guestsByHypervisor(facts.dependencies);
  const names = new Map([
    ...facts.hostnames,
    ...facts.hosts.map(({ hostId, hostname }) => [hostId, hostname] as const),
  ]);
  const known = new Map<string, ReadonlySet<string>>();
  return {
    facts,
    hosts: inOrder(facts.hosts),
    groups: facts.groups.map(({ name, hostIds, budget }) => ({
      name,
      members: new Set(hostIds),
      maxDown: maxDownOf(budget, hostIds.length),
    })),
    downWith: (hostId) => {
      const down = known.get(hostId) ?? takenDownWith(hostId, guests);
      known.set(hostId, down);
      return down;
    },
    precedences: precedencesOf(facts.groups, facts.dependencies),
    carriers: carriersOf(facts),
    nameOf: (hostId) => names.get(hostId) ?? hostId,
  };
}

function membersDown(group: Budgeted, down: ReadonlySet<string>): string[] {
  return [...down].filter((hostId) => group.members.has(hostId));
}

/** A host whose going down alone is more than a group bears. */
function refuseBudgets(lookup: Lookup): OrderRefusal[] {
  return lookup.groups.flatMap((group) =>
    lookup.hosts.flatMap(({ hostId, hostname }): OrderRefusal[] => {
      const down = membersDown(group, lookup.downWith(hostId));
      if (down.length <= group.maxDown) return [];
      const values = { group: group.name, host: hostname, members: group.members.size };
      if (group.maxDown === 0) return [{ code: 'group_too_small', hostIds: [hostId], values }];
      const taken = down.map(lookup.nameOf).sort().join(', ');
      const more = { taken, down: down.length, maxDown: group.maxDown };
      return [{ code: 'budget_unreachable', hostIds: [hostId], values: { ...values, ...more } }];
    }),
  );
}

function refuseCycles({ hosts, precedences, nameOf }: Lookup): OrderRefusal[] {
  const wanted = new Set(hosts.map(({ hostId }) => hostId));
  return findCycles(precedences, wanted).map((cycle) => ({
    code: 'dependency_cycle',
    hostIds: cycle,
    values: { path: [...cycle, ...cycle.slice(0, 1)].map(nameOf).join(' → '), hosts: cycle.length },
  }));
}

/** ATLAS's own hosts that something else would have to wait for. */
function refuseAtlas(lookup: Lookup, before: ReadonlyMap<string, readonly Predecessor[]>): OrderRefusal[] {
  const { hosts, carriers, nameOf } = lookup;
  return hosts
    .filter(({ hostId }) => !carriers.has(hostId))
    .flatMap(({ hostId, hostname }) =>
      (before.get(hostId) ?? [])
        .filter((one) => carriers.has(one.hostId))
        .map((one) => ({
          code: 'atlas_not_last' as const,
          hostIds: [one.hostId],
          values: { host: nameOf(one.hostId), before: hostname },
        })),
    );
}

interface Wave {
  readonly hostIds: string[];
  readonly down: Set<string>;
}

/** Places hosts wave by wave: each goes into the first wave that its predecessors, the budgets and the size leave open. */
class Placing {
  readonly #lookup: Lookup;
  readonly #before: ReadonlyMap<string, readonly Predecessor[]>;
  readonly #waveOf = new Map<string, number>();
  readonly #waves: Wave[] = [];

  constructor(lookup: Lookup, before: ReadonlyMap<string, readonly Predecessor[]>) {
    this.#lookup = lookup;
    this.#before = before;
  }

  run(hosts: readonly HostToOrder[]): Placement[] {
    const isCarrier = ({ hostId }: HostToOrder) => this.#lookup.carriers.has(hostId);
    this.#fill(
      hosts.filter((host) => !isCarrier(host)),
      null,
    );
    this.#fill(hosts.filter(isCarrier), 1);
    const byId = new Map(hosts.map((host) => [host.hostId, host]));
    return this.#waves
      .flatMap(({ hostIds }) => hostIds)
      .map((hostId, order) => {
        const wave = this.#waveOf.get(hostId) ?? 0;
        return { hostId, wave, order, reason: this.#reason(byId.get(hostId), wave) };
      });
  }

  /** `size` is the one of these waves; null takes the policy's. */
  #fill(hosts: readonly HostToOrder[], size: number | null): void {
    const { firstSize, size: laterSize } = this.#lookup.facts.waves;
    let left = [...hosts];
    while (left.length > 0) {
      const wave: Wave = { hostIds: [], down: new Set() };
      const number = this.#waves.push(wave);
      const places = size ?? (number === 1 ? firstSize : laterSize);
      left = left.filter(({ hostId }) => {
        const fits =
          wave.hostIds.length < places &&
          this.#lastPredecessor(hostId, number) === null &&
          this.#brokenBy(hostId, wave) === null;
        if (fits) this.#put(hostId, wave, number);
        return !fits;
      });
      if (wave.hostIds.length === 0) throw new Error('a host without an obstacle found no wave');
    }
  }

  #put(hostId: string, wave: Wave, number: number): void {
    wave.hostIds.push(hostId);
    for (const one of this.#lookup.downWith(hostId)) wave.down.add(one);
    this.#waveOf.set(hostId, number);
  }

  /** A predecessor that is not finished before this wave. */
  #lastPredecessor(hostId: string, wave: number): Predecessor | null {
    const before = this.#before.get(hostId) ?? [];
    return before.find((one) => (this.#waveOf.get(one.hostId) ?? Infinity) >= wave) ?? null;
  }

  /** The group whose budget the wave would break if the host joined it. */
  #brokenBy(hostId: string, wave: Wave): Budgeted | null {
    const down = this.#lookup.downWith(hostId);
    for (const group of this.#lookup.groups) {
      const own = membersDown(group, down);
      if (own.length === 0) continue;
      const together = new Set([...own, ...membersDown(group, wave.down)]);
      if (together.size > group.maxDown) return group;
    }
    return null;
  }

  #reason(host: HostToOrder | undefined, wave: number): Placement['reason'] {
    if (host === undefined) throw new Error('a wave holds a host that was not asked for');
    const { hostId } = host;
    const { carriers, nameOf } = this.#lookup;
    const before = this.#waves[wave - 2];
    if (carriers.has(hostId)) return { code: 'atlas_last', values: {} };
    if (before === undefined) return { code: host.canary ? 'canary_first' : 'first_free_place', values: {} };
    const predecessor = this.#lastPredecessor(hostId, wave - 1);
    if (predecessor !== null) {
      const { cause } = predecessor;
      const values = { host: nameOf(predecessor.hostId), wave: wave - 1 };
      return cause.by === 'group'
        ? { code: 'group_order', values: { ...values, group: cause.group } }
        : { code: 'after_host', values: { ...values, kind: cause.kind } };
    }
    const group = this.#brokenBy(hostId, before);
    if (group === null)
      return { code: 'wave_full', values: { wave: wave - 1, hosts: before.hostIds.length } };
    const others = membersDown(group, before.down).map(nameOf).sort();
    const values = { group: group.name, host: others.join(', '), wave: wave - 1, maxDown: group.maxDown };
    return { code: 'group_budget', values };
  }
}

/**
 * Orders the hosts of a plan so that no wave takes a redundancy set below its budget, every dependency is respected, and ATLAS's
 * own hosts come last, one a wave. Hosts for which no such order exists are refused with the reason; the rest is placed all the same,
 * so that people see what would remain. Pure: equal facts, in whatever order they came, give an equal answer.
 */
export function orderHosts(facts: OrderFacts): Ordering {
  const lookup = lookupOf(facts);
  const refusals = [...refuseCycles(lookup), ...refuseBudgets(lookup)];
  for (;;) {
    const impossible = new Set(refusals.flatMap(({ hostIds }) => hostIds));
    const hosts = lookup.hosts.filter(({ hostId }) => !impossible.has(hostId));
    const before = predecessorsOf(lookup.precedences, new Set(hosts.map(({ hostId }) => hostId)));
    // A refused host hands its own predecessors on: look again until none of ATLAS's hosts is in the way.
    const atlas = refuseAtlas({ ...lookup, hosts }, before);
    if (atlas.length === 0) return { placed: new Placing(lookup, before).run(hosts), refusals };
    refusals.push(...atlas);
  }
}
