import type { Group, GroupBody } from '#contract/groups.ts';

/** A member as the editor shows it. */
export interface Member {
  readonly hostId: string;
  readonly hostname: string;
}

/** A careful start: one member down at a time. */
export function newGroup(): GroupBody {
  return {
    name: '',
    description: '',
    hostIds: [],
    budget: { kind: 'max_unavailable', hosts: 1 },
    ordered: false,
  };
}

/** The members that are sent: a stored group carries more than its body. */
export function bodyOf(group: Group): GroupBody {
  const { name, description, budget, ordered, members } = group;
  return { name, description, budget, ordered, hostIds: members.map(({ hostId }) => hostId) };
}

/** The list with one member moved by so many places; unchanged at its ends. */
export function moved(members: readonly Member[], index: number, by: -1 | 1): Member[] {
  const list = [...members];
  const [one, other] = [list[index], list[index + by]];
  if (one === undefined || other === undefined) return list;
  list[index] = other;
  list[index + by] = one;
  return list;
}
