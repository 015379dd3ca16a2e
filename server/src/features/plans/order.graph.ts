import type { DependencyArrow } from '#contract/group-rules.ts';
import type { DependencyKind } from '#contract/groups.ts';

/** Why one host comes before another. */
export type PrecedenceCause =
  | { readonly by: 'dependency'; readonly kind: DependencyKind }
  | { readonly by: 'group'; readonly group: string };

/** `before` is finished when `after` begins. */
export interface Precedence {
  readonly before: string;
  readonly after: string;
  readonly cause: PrecedenceCause;
}

interface OrderedGroup {
  readonly name: string;
  readonly hostIds: readonly string[];
  readonly ordered: boolean;
}

/** What dependencies and the explicit orders of groups say about who comes first. */
export function precedencesOf(
  groups: readonly OrderedGroup[],
  dependencies: readonly DependencyArrow[],
): Precedence[] {
  const byKind = dependencies.map(({ dependentId, providerId, kind }): Precedence => {
    const dependentFirst = kind === 'guest_before_hypervisor';
    const [before, after] = dependentFirst ? [dependentId, providerId] : [providerId, dependentId];
    return { before, after, cause: { by: 'dependency', kind } };
  });
  const byGroup = groups
    .filter(({ ordered }) => ordered)
    .flatMap(({ name, hostIds }) =>
      hostIds.slice(1).map((after, index): Precedence => {
        const before = hostIds[index] ?? after;
        return { before, after, cause: { by: 'group', group: name } };
      }),
    );
  return [...byKind, ...byGroup];
}

type Neighbours = ReadonlyMap<string, readonly string[]>;

function neighbours(pairs: readonly (readonly [string, string])[]): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (const [from, to] of pairs) {
    const known = map.get(from);
    if (known === undefined) map.set(from, [to]);
    else if (!known.includes(to)) known.push(to);
  }
  return map;
}

/** Removes, again and again, hosts to which no arrow leads; what stays is on a cycle or behind one. */
function peel(nodes: ReadonlySet<string>, next: Neighbours): Set<string> {
  const left = new Set(nodes);
  const waiting = new Map<string, number>();
  for (const node of left) for (const to of next.get(node) ?? []) waiting.set(to, (waiting.get(to) ?? 0) + 1);
  const free = [...left].filter((node) => (waiting.get(node) ?? 0) === 0);
  for (let node = free.pop(); node !== undefined; node = free.pop()) {
    left.delete(node);
    for (const to of next.get(node) ?? []) {
      const rest = (waiting.get(to) ?? 0) - 1;
      waiting.set(to, rest);
      if (rest === 0) free.push(to);
    }
  }
  return left;
}

/** The shortest way from a host back to itself within `among`; null when there is none. */
function wayBack(start: string, next: Neighbours, among: ReadonlySet<string>): string[] | null {
  const cameFrom = new Map<string, string>();
  const front = [start];
  for (const node of front) {
    for (const to of next.get(node) ?? []) {
      if (to === start) return pathTo(node, cameFrom);
      if (!among.has(to) || cameFrom.has(to)) continue;
      cameFrom.set(to, node);
      front.push(to);
    }
  }
  return null;
}

function pathTo(end: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const path = [end];
  for (let node = cameFrom.get(end); node !== undefined; node = cameFrom.get(node)) path.unshift(node);
  return path;
}

/**
 * Cycles that leave no order for the wanted hosts, each written host by host and without its end repeated.
 * Every wanted host that is on a cycle is in one of them; no other wanted host is. The same input gives the same cycles.
 */
export function findCycles(precedences: readonly Precedence[], wanted: ReadonlySet<string>): string[][] {
  const next = neighbours(precedences.map(({ before, after }) => [before, after] as const));
  const nodes = new Set(precedences.flatMap(({ before, after }) => [before, after]));
  const back = neighbours(precedences.map(({ before, after }) => [after, before] as const));
  const left = peel(peel(nodes, next), back);
  const cycles: string[][] = [];
  const covered = new Set<string>();
  for (const node of [...left].filter((one) => wanted.has(one)).sort()) {
    if (covered.has(node)) continue;
    const cycle = wayBack(node, next, left);
    if (cycle === null) continue;
    for (const one of cycle) covered.add(one);
    cycles.push(cycle);
  }
  return cycles;
}

/** What must be finished before a host of the plan: another host of the plan, and the first arrow that says so. */
export interface Predecessor {
  readonly hostId: string;
  readonly cause: PrecedenceCause;
}

/**
 * The hosts of the plan that precede each host of the plan.
 * A host outside of the plan hands the order on: what comes before it comes before what follows it.
 */
export function predecessorsOf(
  precedences: readonly Precedence[],
  planned: ReadonlySet<string>,
): Map<string, Predecessor[]> {
  const arrows = new Map<string, Precedence[]>();
  for (const one of precedences) {
    const known = arrows.get(one.after);
    if (known === undefined) arrows.set(one.after, [one]);
    else known.push(one);
  }
  const all = new Map<string, Predecessor[]>();
  for (const hostId of planned) {
    const found = walkBack(hostId, arrows, planned);
    if (found.length > 0) all.set(hostId, found);
  }
  return all;
}

function walkBack(
  hostId: string,
  arrows: ReadonlyMap<string, readonly Precedence[]>,
  planned: ReadonlySet<string>,
): Predecessor[] {
  const seen = new Map<string, PrecedenceCause>();
  const front = (arrows.get(hostId) ?? []).map(({ before, cause }) => ({ hostId: before, cause }));
  for (const one of front) {
    if (seen.has(one.hostId)) continue;
    seen.set(one.hostId, one.cause);
    if (planned.has(one.hostId)) continue;
    for (const { before } of arrows.get(one.hostId) ?? []) front.push({ hostId: before, cause: one.cause });
  }
  return [...seen].filter(([id]) => planned.has(id)).map(([id, cause]) => ({ hostId: id, cause }));
}
