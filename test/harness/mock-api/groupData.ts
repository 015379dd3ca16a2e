import { maxDownOf } from '#contract/group-rules.ts';
import type { Group, HostDependency, HostRelations } from '#contract/groups.ts';
import { at, hosts, idOf } from './fleetData.ts';

function groupAt(name: string, indexes: readonly number[], over: Partial<Group> = {}): Group {
  const budget = over.budget ?? { kind: 'max_unavailable' as const, hosts: 1 };
  const members = indexes.flatMap((index) => {
    const host = hosts[index];
    return host === undefined
      ? []
      : [{ hostId: host.id, hostname: host.hostname, agentState: host.agentState }];
  });
  return {
    id: idOf('group', name),
    name,
    description: '',
    budget,
    maxDown: maxDownOf(budget, members.length),
    ordered: false,
    members,
    createdAt: at(-9000),
    updatedAt: at(-900),
    version: 3,
    ...over,
  };
}

export const groups: readonly Group[] = [
  groupAt('Imagerie', [1, 7, 13], { description: 'Trois serveurs qui se remplacent.' }),
  groupAt('Contrôleurs de domaine', [2, 3, 8], { budget: { kind: 'min_up', hosts: 2 }, ordered: true }),
];

function arrow(dependent: number, provider: number, kind: HostDependency['kind']): HostDependency {
  const [from, to] = [hosts[dependent], hosts[provider]];
  return {
    id: idOf('dependency', dependent),
    dependentHostId: from?.id ?? '',
    dependentHostname: from?.hostname ?? '',
    providerHostId: to?.id ?? '',
    providerHostname: to?.hostname ?? '',
    kind,
    createdAt: at(-9000),
    updatedAt: at(-900),
    version: 1,
  };
}

export const dependencies: readonly HostDependency[] = [
  arrow(7, 4, 'guest_before_hypervisor'),
  arrow(6, 7, 'service_after_provider'),
];

export function relationsOf(hostId: string): HostRelations {
  return {
    carriesAtlas: false,
    groups: groups.filter(({ members }) => members.some((member) => member.hostId === hostId)),
    dependencies: dependencies.filter(
      ({ dependentHostId, providerHostId }) => dependentHostId === hostId || providerHostId === hostId,
    ),
  };
}
