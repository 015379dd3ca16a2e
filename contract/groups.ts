import type { Static } from 'typebox';
import { Count, OneOf, Strict } from '#contract/schema.ts';

/**
 * What one host has to do with another, seen from the first to the second.
 * - `guest_before_hypervisor`: a guest that is finished before its hypervisor begins; the usual case.
 * - `guest_after_hypervisor`: a guest that begins once its hypervisor is finished.
 * - `service_after_provider`: a service that begins once the host it needs is finished.
 * A hypervisor takes its guests down with it, whichever of the two comes first; a provider does not.
 */
export const dependencyKinds = [
  'guest_before_hypervisor',
  'guest_after_hypervisor',
  'service_after_provider',
] as const;
export type DependencyKind = (typeof dependencyKinds)[number];

/** How many members of a group may be down at once (`max_unavailable`), or must stay up (`min_up`). */
export const DisruptionBudget = Strict({ kind: OneOf(['max_unavailable', 'min_up']), hosts: Count });
export type DisruptionBudget = Static<typeof DisruptionBudget>;

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
