import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readJson, writeDurably } from './durableFile.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'atlas-durable-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('a file that is replaced whole', () => {
  it('holds what the last of many writers at the same moment wrote, and leaves nothing beside it', async () => {
    const file = path.join(directory, 'release.json');
    const texts = Array.from({ length: 20 }, (_, index) => JSON.stringify({ index }).repeat(1 + (index % 3)));
    await Promise.all(texts.map((text) => writeDurably(file, text)));
    expect(await readFile(file, 'utf8')).toBe(texts.at(-1));
    expect(await readdir(directory)).toEqual(['release.json']);
  });

  it('can be written although the write before it failed', async () => {
    const file = path.join(directory, 'absent', 'memory.json');
    const [first, second] = [writeDurably(file, '1'), writeDurably(file, '2')];
    await expect(first).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(second).rejects.toMatchObject({ code: 'ENOENT' });
    await writeDurably(path.join(directory, 'memory.json'), '3');
    expect(await readJson(path.join(directory, 'memory.json'))).toBe(3);
  });
});
