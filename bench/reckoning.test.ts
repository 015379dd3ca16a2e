import { describe, expect, it } from 'vitest';
import { reckon, type Books } from './reckoning.ts';

const ids = ['a', 'b', 'c'];
const audited = { commands: 3, results: 3 };
const right: Books = { accepted: ids, stored: ids, effects: ids, results: ids, audited };

describe('the reckoning of a load', () => {
  it('finds nothing when every accepted command is once in each book, in whatever order', () => {
    const found = reckon({ ...right, results: ['c', 'a', 'b'] });
    expect(found).toEqual({ accepted: 3, lost: 0, doubled: 0, faults: [] });
  });

  it('counts a command as lost once, though it lacks effect and result', () => {
    const found = reckon({ ...right, effects: ['a', 'b'], results: ['a', 'b'] });
    expect(found.lost).toBe(1);
    expect(found.faults).toEqual([
      '1 accepted commands have no effect',
      '1 accepted commands have no result',
    ]);
  });

  it('sees a doubled effect that the number of effects does not show', () => {
    const found = reckon({ ...right, effects: ['a', 'a', 'b'] });
    expect(found).toMatchObject({ lost: 1, doubled: 1 });
  });

  it('sees a result that is stored twice', () => {
    const found = reckon({ ...right, results: ['a', 'b', 'c', 'c'] });
    expect(found).toMatchObject({ lost: 0, doubled: 1, faults: ['1 commands have more than one result'] });
  });

  it('does not pass over a row that nobody was told of', () => {
    expect(reckon({ ...right, stored: [...ids, 'd'] }).faults).toEqual([
      '1 commands have a row and were never accepted',
    ]);
  });

  it('does not pass over results of which the log says nothing', () => {
    expect(reckon({ ...right, audited: { commands: 3, results: 2 } }).faults).toEqual([
      'the audit log speaks of 2 results, 3 were accepted',
    ]);
  });
});
