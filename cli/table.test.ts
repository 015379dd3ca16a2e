import { describe, expect, it } from 'vitest';
import { renderTable } from './table.ts';

describe('a table', () => {
  it('has columns as wide as their widest cell and no space at the end of a line', () => {
    expect(
      renderTable([
        ['a', 'bb', 'c'],
        ['dddd', 'e', ''],
      ]),
    ).toEqual(['a     bb  c', 'dddd  e']);
    expect(renderTable([])).toEqual([]);
  });
});
