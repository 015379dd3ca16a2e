import { describe, expect, it } from 'vitest';
import { moved } from './groupForm.ts';

const members = ['a', 'b', 'c'].map((hostId) => ({ hostId, hostname: hostId }));
const names = (list: readonly { hostId: string }[]) => list.map(({ hostId }) => hostId).join('');

describe('moving a member of a group', () => {
  it('changes places with its neighbour', () => {
    expect(names(moved(members, 2, -1))).toBe('acb');
    expect(names(moved(members, 0, 1))).toBe('bac');
  });

  it('does nothing beyond the ends', () => {
    expect(names(moved(members, 0, -1))).toBe('abc');
    expect(names(moved(members, 2, 1))).toBe('abc');
  });
});
