import { describe, expect, it } from 'vitest';
import type { GroupBody } from '#contract/groups.ts';
import { judgeDependency, judgeGroup } from './groups.policy.ts';

const known = new Map([
  ['a', 'host-a'],
  ['b', 'host-b'],
]);
const group = (over: Partial<GroupBody> = {}): GroupBody => ({
  name: 'Annuaire',
  description: '',
  hostIds: ['a', 'b'],
  budget: { kind: 'max_unavailable', hosts: 1 },
  ordered: false,
  ...over,
});
const said = (body: GroupBody) => judgeGroup(body, known).map(({ path, rule }) => `${path} ${rule}`);

describe('a group', () => {
  it('is accepted with hosts of the tenant, each once, and a budget that fits', () => {
    expect(said(group())).toEqual([]);
    expect(said(group({ budget: { kind: 'min_up', hosts: 0 } }))).toEqual([]);
    expect(said(group({ budget: { kind: 'min_up', hosts: 2 } }))).toEqual([]);
  });

  it('says which host is named twice or unknown', () => {
    expect(said(group({ hostIds: ['a', 'b', 'a', 'x'] }))).toEqual([
      '/body/hostIds/2 unique',
      '/body/hostIds/3 exists',
    ]);
  });

  it('says when the budget is larger than the group, a host named twice counted once', () => {
    expect(said(group({ budget: { kind: 'min_up', hosts: 3 } }))).toEqual([
      '/body/budget/hosts at_most_members',
    ]);
    expect(said(group({ hostIds: ['a', 'a'], budget: { kind: 'max_unavailable', hosts: 2 } }))).toEqual([
      '/body/hostIds/1 unique',
      '/body/budget/hosts at_most_members',
    ]);
    expect(said(group({ budget: { kind: 'max_unavailable', hosts: 0 } }))).toEqual([
      '/body/budget/hosts at_least_one',
    ]);
  });
});

describe('a dependency', () => {
  it('says which host is unknown and refuses one of a host on itself', () => {
    const kind = 'service_after_provider';
    expect(judgeDependency({ dependentHostId: 'a', providerHostId: 'b', kind }, known)).toEqual([]);
    expect(judgeDependency({ dependentHostId: 'x', providerHostId: 'b', kind }, known)[0]?.path).toBe(
      '/body/dependentHostId',
    );
    expect(judgeDependency({ dependentHostId: 'a', providerHostId: 'a', kind }, known)[0]?.rule).toBe(
      'other_host',
    );
  });
});
