import type { DependencyKind, DisruptionBudget } from '#contract/groups.ts';

// Apart from the schemas, so that screens count as the server does without shipping a validator.

/** Members that may be down at the same time; 0 when the budget lets none go. */
export function maxDownOf(budget: DisruptionBudget, members: number): number {
  return budget.kind === 'max_unavailable' ? budget.hosts : Math.max(0, members - budget.hosts);
}

/** One arrow of the dependency graph. */
export interface DependencyArrow {
  readonly dependentId: string;
  readonly providerId: string;
  readonly kind: DependencyKind;
}

/** Guests by their hypervisor, from the arrows that say so. */
export function guestsByHypervisor(arrows: readonly DependencyArrow[]): Map<string, string[]> {
  const guests = new Map<string, string[]>();
  for (const { dependentId, providerId, kind } of arrows) {
    if (kind === 'service_after_provider') continue;
    guests.set(providerId, [...(guests.get(providerId) ?? []), dependentId]);
  }
  return guests;
}

/** The hosts that are down while this one is: itself, its guests, their guests. */
export function takenDownWith(hostId: string, guests: ReadonlyMap<string, readonly string[]>): Set<string> {
  const down = new Set([hostId]);
  for (const one of down) for (const guest of guests.get(one) ?? []) down.add(guest);
  return down;
}
