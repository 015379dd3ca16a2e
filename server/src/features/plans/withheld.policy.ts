import type { LeftOutUpdate } from '#contract/exceptions.ts';
import type { PendingUpdate } from '#contract/inventory.ts';
import type { PlanHost } from '#contract/plans.ts';

/** What must not be installed now, where, and why. */
export interface Withheld {
  /** Null: every update. */
  readonly update: { readonly name: string; readonly version: string } | null;
  /** Null: every host. */
  readonly hostIds: ReadonlySet<string> | null;
  /** The decision of people that says so; null when the update is in quarantine. */
  readonly exception: { readonly id: string; readonly reason: string; readonly expiresAt: string } | null;
}

/** Why an update is not installed on a host; null when it may be. Of several reasons the first counts. */
export function leaveOut(
  hostId: string,
  { name, version }: Pick<PendingUpdate, 'name' | 'version'>,
  withheld: readonly Withheld[] = [],
): LeftOutUpdate | null {
  const reason = withheld.find(
    ({ update, hostIds }) =>
      (update === null || (update.name === name && update.version === version)) &&
      (hostIds === null || hostIds.has(hostId)),
  );
  if (reason === undefined) return null;
  const { exception } = reason;
  return exception === null
    ? { name, version, code: 'quarantined' }
    : { name, version, code: 'exempted', exception };
}

/** What is not installed on a host, each update once: for two architectures it is the same one. */
export function leftOutOf(
  hostId: string,
  updates: readonly PendingUpdate[],
  withheld?: readonly Withheld[],
): LeftOutUpdate[] {
  const once = new Map(updates.map((update) => [`${update.name} ${update.version}`, update]));
  return [...once.values()].flatMap((update) => leaveOut(hostId, update, withheld) ?? []);
}

/** What is said of a host for which nothing is left to install. */
export function onlyLeftOut(leftOut: readonly LeftOutUpdate[], first: LeftOutUpdate): PlanHost['decision'] {
  const exempted = leftOut.find(({ exception }) => exception !== undefined);
  const reason = exempted?.exception?.reason;
  const count = leftOut.length;
  if (reason === undefined) return { code: 'only_quarantined', values: { count, first: first.name } };
  return { code: 'only_exempted', values: { count, first: (exempted ?? first).name, reason } };
}
