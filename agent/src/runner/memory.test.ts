import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentMemory } from './memory.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'atlas-memory-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('the memory of an agent', () => {
  it('is written again once the disk takes it, although it refused before', async () => {
    const file = path.join(directory, 'later', 'memory.json');
    const memory = await AgentMemory.load(file);
    await expect(memory.recordTime(1)).rejects.toMatchObject({ code: 'ENOENT' });
    await mkdir(path.dirname(file));
    await memory.recordTime(2);
    expect((await AgentMemory.load(file)).provedTimeMs).toBe(2);
  });
});
