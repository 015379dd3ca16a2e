import { maxDownOf, takenDownWith } from '#contract/group-rules.ts';
import type { DisruptionBudget } from '#contract/groups.ts';
import type { HostRunState } from '#contract/runs.ts';

/** What is known of a host that matters to the budget of a group. */
export interface HostFacts {
  readonly hostId: string;
  readonly hostname: string;
  /** Its agent speaks to us now. */
  readonly connected: boolean;
  /** A host run of it that has begun and not ended, in whatever run. */
  readonly live: { readonly state: HostRunState; readonly run: number } | null;
  /** How its last host run ended that no other replaced; `settled` when checks were green after a rollback, or a person said that it is up. */
  readonly last: { readonly state: HostRunState; readonly run: number; readonly settled: boolean } | null;
}

export interface WatchedGroup {
  readonly name: string;
  readonly hostIds: readonly string[];
  readonly budget: DisruptionBudget;
}

type DownCause = 'in_run' | 'lost' | 'failed' | 'rolled_back' | 'rollback_failed' | 'silent' | 'hypervisor';

/** Why a host may not begin now, as a decision that people read. */
export interface Hold {
  readonly code: 'waits_for_group' | 'group_lets_none_go';
  readonly values: Record<string, string | number>;
}

interface Down {
  readonly hostname: string;
  readonly cause: DownCause;
  readonly run: number;
}

/** Names written out in a decision; the rest is counted. */
const namesShown = 3;

/** Why the host counts as down now; null while it is up. From the first step until it is verified, and failures keep counting. */
function downCause({ connected, live, last }: HostFacts): { cause: DownCause; run: number } | null {
  if (live !== null) return { cause: live.state === 'agent_lost' ? 'lost' : 'in_run', run: live.run };
  if (last !== null && !last.settled) {
    const { state, run } = last;
    if (state === 'failed' || state === 'rolled_back' || state === 'rollback_failed')
      return { cause: state, run };
  }
  return connected ? null : { cause: 'silent', run: 0 };
}

/** Every host that is down now, guests of a hypervisor that is down included. */
function downNow(
  hosts: readonly HostFacts[],
  guests: ReadonlyMap<string, readonly string[]>,
): Map<string, Down> {
  const names = new Map(hosts.map(({ hostId, hostname }) => [hostId, hostname]));
  const down = new Map<string, Down>();
  for (const host of hosts) {
    const found = downCause(host);
    if (found !== null) down.set(host.hostId, { hostname: host.hostname, ...found });
  }
  for (const [hostId, { run }] of [...down])
    for (const guest of takenDownWith(hostId, guests)) {
      const hostname = names.get(guest);
      if (hostname !== undefined && !down.has(guest)) down.set(guest, { hostname, cause: 'hypervisor', run });
    }
  return down;
}

function sayHold(group: WatchedGroup, others: readonly Down[], maxDown: number): Hold {
  const [first] = others;
  if (first === undefined) return { code: 'group_lets_none_go', values: { group: group.name } };
  const shown = others.slice(0, namesShown).map(({ hostname }) => hostname);
  const host = others.length > namesShown ? `${shown.join(', ')}, …` : shown.join(', ');
  const { cause, run } = first;
  return { code: 'waits_for_group', values: { group: group.name, host, cause, run, maxDown } };
}

/**
 * Whether a host may begin, given who is down now: null when every group that feels it keeps to its budget, else the first that
 * does not. `hosts` holds the facts of all members, and of the hypervisors under them. Pure.
 */
export function holdOf(
  hostId: string,
  groups: readonly WatchedGroup[],
  world: { readonly hosts: readonly HostFacts[]; readonly guests: ReadonlyMap<string, readonly string[]> },
): Hold | null {
  const own = takenDownWith(hostId, world.guests);
  const down = downNow(world.hosts, world.guests);
  for (const group of groups) {
    if (!group.hostIds.some((member) => own.has(member))) continue;
    const maxDown = maxDownOf(group.budget, group.hostIds.length);
    const together = group.hostIds.filter((member) => own.has(member) || down.has(member));
    if (together.length <= maxDown) continue;
    const others = together
      .filter((member) => !own.has(member))
      .flatMap((member) => down.get(member) ?? [])
      .sort((a, b) => (a.hostname < b.hostname ? -1 : 1));
    return sayHold(group, others, maxDown);
  }
  return null;
}
