import type { PlanHost } from '#contract/plans.ts';

/** Hosts that are in, by wave and in order. */
export function byWave(hosts: readonly PlanHost[]): { wave: number; hosts: PlanHost[] }[] {
  const numbers = [
    ...new Set(hosts.flatMap((host) => (host.included && host.wave !== null ? [host.wave] : []))),
  ];
  return numbers
    .sort((a, b) => a - b)
    .map((wave) => ({
      wave,
      hosts: hosts
        .filter((host) => host.included && host.wave === wave)
        .sort((a, b) => (a.order ?? 0) - (b.order ?? 0)),
    }));
}
