import { describe, expect, it } from 'vitest';
import { expectedTiles } from './logTree.ts';
import { listLogFiles } from './remoteLog.ts';

describe('the files of a log', () => {
  it.each([0, 1, 255, 256, 257, 600, 65_536, 65_792])(
    'of %i entries are all that its verification reads',
    (size) => {
      const tiles = [...expectedTiles(Array.from({ length: size }, () => Buffer.alloc(32)))].map(
        (tile) => tile.path,
      );
      const files = listLogFiles(size);
      expect(files.filter((file) => !file.startsWith('tile/entries/'))).toEqual(tiles);
      expect(files.length - tiles.length).toBe(Math.ceil(size / 256));
    },
  );
});
