import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { plantedBugs } from './planted.ts';

const program = path.join(import.meta.dirname, 'simulate.main.ts');

interface Answer {
  readonly text: string;
  readonly last: unknown;
}

/** Runs the simulator as the command does: a world of its own, with its own clock, cannot live in the test's process. */
function simulate(args: readonly string[]): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    child.once('error', reject);
    child.once('close', () => {
      const line = text.trim().split('\n').at(-1) ?? '';
      resolve({ text, last: line.startsWith('{') ? JSON.parse(line) : null });
    });
  });
}

/** Seen within a few seeds. */
const quick = new Set([
  'runs-again-when-delivered-again',
  'transitions-are-not-written-down',
  'host-is-never-given-back',
  'commit-leaves-the-guard-armed',
  'next-wave-does-not-wait',
  'freeze-is-not-asked',
  'group-is-not-asked',
]);

describe('simulated histories', () => {
  it('keep every promise, in 50 kinds of bad weather', { timeout: 3_600_000 }, async () => {
    const halves = await Promise.all(
      [1, 26].map((seed) => simulate(['--seed', String(seed), '--seeds', '25'])),
    );
    for (const { text, last } of halves) expect(last, text).toMatchObject({ seeds: 25, failed: [] });
  });

  it('are the same whenever a seed is lived again', { timeout: 600_000 }, async () => {
    const lived = await Promise.all([simulate(['--seed', '7']), simulate(['--seed', '7'])]);
    // How long it took to live them is the only thing that may differ.
    const [first, second] = lived.map(({ text }) => text.replaceAll(/\d+ ms/g, ''));
    expect(first).toContain('✓ 7:');
    expect(second).toBe(first);
  });
});

describe('a mistake that is planted', () => {
  it.each(plantedBugs)('$name has its one place in the source', async ({ file, find, put }) => {
    const source = await readFile(path.join(import.meta.dirname, '../..', file), 'utf8');
    expect(source.split(find)).toHaveLength(2);
    expect(put).not.toBe(find);
  });

  // The whole list takes longer: `simulate --planted` goes through it.
  it.each(plantedBugs.filter(({ name }) => quick.has(name)))(
    '$name is seen: $harm',
    { timeout: 1_800_000 },
    async ({ name }) => {
      const { text, last } = await simulate(['--bug', name, '--seeds', '40']);
      expect((last as { failed: number[] }).failed, text).toHaveLength(1);
    },
  );
});
