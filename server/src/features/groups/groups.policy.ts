import type { DependencyArrow } from '#contract/group-rules.ts';
import type { GroupBody, HostDependencyBody } from '#contract/groups.ts';
import type { FieldError } from '../../platform/errors.ts';

/** What is wrong with a group, field by field. `known` holds the hosts of this tenant. */
export function judgeGroup(body: GroupBody, known: ReadonlyMap<string, string>): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Map<string, number>();
  for (const [index, hostId] of body.hostIds.entries()) {
    const path = `/body/hostIds/${index}`;
    const first = seen.get(hostId);
    if (first !== undefined)
      wrong.push({ path, rule: 'unique', message: `this host is named already, at ${first}` });
    else if (!known.has(hostId)) wrong.push({ path, rule: 'exists', message: 'there is no such host here' });
    if (first === undefined) seen.set(hostId, index);
  }
  const { kind, hosts } = body.budget;
  const path = '/body/budget/hosts';
  if (kind === 'max_unavailable' && hosts === 0)
    wrong.push({
      path,
      rule: 'at_least_one',
      message: 'a group of which none may be down is never maintained',
    });
  if (hosts > seen.size)
    wrong.push({ path, rule: 'at_most_members', message: `the group has ${seen.size} members only` });
  return wrong;
}

/** The hosts and every hypervisor under one of them. */
export function withHypervisors(hostIds: readonly string[], arrows: readonly DependencyArrow[]): string[] {
  const all = new Set(hostIds);
  for (const hostId of all)
    for (const { dependentId, providerId, kind } of arrows)
      if (dependentId === hostId && kind !== 'service_after_provider') all.add(providerId);
  return [...all];
}

/** What is wrong with a dependency, field by field. */
export function judgeDependency(body: HostDependencyBody, known: ReadonlyMap<string, string>): FieldError[] {
  const wrong = (['dependentHostId', 'providerHostId'] as const)
    .filter((name) => !known.has(body[name]))
    .map((name) => ({ path: `/body/${name}`, rule: 'exists', message: 'there is no such host here' }));
  if (body.dependentHostId === body.providerHostId)
    wrong.push({
      path: '/body/providerHostId',
      rule: 'other_host',
      message: 'a host does not depend on itself',
    });
  return wrong;
}
