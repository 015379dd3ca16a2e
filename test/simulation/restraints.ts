import type { SimulatedHost } from './host/simulatedHost.ts';
import { endOf, ordersOf, type EntryRow, type HostRunRow } from './records.ts';
import type { SimulatedWorld } from './world.ts';

/** What was decided at the same moment may still be written down. */
export const graceMs = 5000;

/** From the first order of a host run to its end, as places in the log. */
interface Span {
  readonly hostId: string;
  readonly from: number;
  readonly to: number;
}

function spansOf(hostRuns: readonly HostRunRow[], entries: readonly EntryRow[]): Span[] {
  const orders = ordersOf(entries);
  return hostRuns.flatMap(({ id, hostId }) => {
    const first = orders.find(({ hostRunId }) => hostRunId === id);
    return first === undefined ? [] : [{ hostId, from: first.position, to: endOf(id, entries) }];
  });
}

/** The host and what it runs on. */
function under(world: SimulatedWorld, host: SimulatedHost): SimulatedHost[] {
  const own = world.guests.filter(({ guest }) => guest === host).map(({ hypervisor }) => hypervisor);
  return [host, ...own];
}

/** True for a host that takes more members of a group down with it than that lets go: it never begins. */
export function isBarred(world: SimulatedWorld, host: SimulatedHost): boolean {
  return world.groups.some(
    ({ hosts, most }) => hosts.filter((member) => under(world, member).includes(host)).length > most,
  );
}

/** No more members of a group are down at once than its budget lets go: in a run, or because what they run on is. */
export function overBudget(
  world: SimulatedWorld,
  hostRuns: readonly HostRunRow[],
  entries: readonly EntryRow[],
): string[] {
  const spans = spansOf(hostRuns, entries);
  return world.groups.flatMap(({ hosts, most }) => {
    const downAt = (position: number): number =>
      hosts.filter((host) =>
        under(world, host).some((one) =>
          spans.some(
            ({ hostId, from, to }) => hostId === world.idsOf(one).hostId && from <= position && to > position,
          ),
        ),
      ).length;
    const worst = Math.max(0, ...spans.map(({ from }) => downAt(from)));
    return worst > most ? [`${worst} hosts of a group were down by our act at once, ${most} may be`] : [];
  });
}

/** Nobody begins in a freeze. What has begun before it may go on. */
export function thawed(world: SimulatedWorld, entries: readonly EntryRow[]): string[] {
  const begun = ordersOf(entries).filter(({ step }) => step === 'preflight');
  return world.freezes.flatMap(({ fromMs, untilMs }) =>
    begun.some(({ atMs }) => atMs > fromMs + graceMs && atMs < untilMs) ? ['a host began in a freeze'] : [],
  );
}
