import { spawn } from 'node:child_process';
import path from 'node:path';
import type { PlantedBug } from './hooks.ts';
import { plantedBugs } from './planted.ts';
import type { WorldKindName } from './worldKinds.ts';

/** What a process that lives some seeds says at its end. */
export interface Summary {
  readonly seeds: number;
  readonly failed: readonly number[];
  /** What was wrong first, in words; null when nothing was. */
  readonly fault: string | null;
  /** Time that passed in the worlds, hours. */
  readonly worldHours: number;
  readonly events: number;
}

interface Catch {
  readonly name: string;
  /** The kind of world in which it was looked for. */
  readonly worlds: WorldKindName;
  /** The first seed that showed the mistake; null when none did. */
  readonly seed: number | null;
  readonly fault: string | null;
  /** The same seed without the mistake broke no promise: what was seen is the mistake. */
  readonly isClean: boolean;
}

/** How mistakes are looked for. */
export interface Hunt {
  readonly firstSeed: number;
  /** Seeds tried for a mistake before it counts as not seen. */
  readonly seeds: number;
  readonly say: (text: string) => void;
}

/** Lives seeds in a process of its own: source that was loaded with a mistake cannot be loaded again without it. */
function liveApart(args: readonly string[]): Promise<Partial<Summary>> {
  const program = path.join(import.meta.dirname, 'simulate.main.ts');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    child.once('error', reject);
    child.once('close', () => {
      const last = text.trim().split('\n').at(-1) ?? '';
      // A child that fell before its summary has seen nothing.
      resolve(JSON.parse(last === '' ? '{}' : last) as Partial<Summary>);
    });
  });
}

/** Two at a time, in their order. */
async function inTurn<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = [...items.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      results[next[0]] = await act(next[1]);
  };
  await Promise.all([work(), work()]);
  return results;
}

async function plant(bug: PlantedBug, { firstSeed, seeds, say }: Hunt): Promise<Omit<Catch, 'isClean'>> {
  const { name, harm, kind = 'any' } = bug;
  const lived = await liveApart(['--bug', name, '--seed', String(firstSeed), '--seeds', String(seeds)]);
  const seed = lived.failed?.[0] ?? null;
  say(`${seed === null ? '✗' : '✓'} ${name}: ${harm}`);
  return { name, worlds: kind, seed, fault: lived.fault ?? null };
}

/** One line for each mistake: in which worlds it was looked for, at which seed it was seen, and by what. */
function sayTable(catches: readonly Catch[], say: Hunt['say']): void {
  const width = Math.max(...catches.map(({ name }) => name.length));
  const kindWidth = Math.max(...catches.map(({ worlds }) => worlds.length));
  for (const { name, worlds, seed, fault, isClean } of catches) {
    const at = `${worlds.padEnd(kindWidth)}  ${(seed?.toString() ?? 'not seen').padStart(8)}`;
    const but = isClean || seed === null ? '' : 'without the mistake too: ';
    say(`${name.padEnd(width)}  ${at}  ${but}${fault ?? ''}`);
  }
}

/** Plants each known mistake, looks whether it is seen, and lives the seeds that showed one again without any. */
export async function plantAll(hunt: Hunt) {
  const seen = await inTurn(plantedBugs, (bug) => plant(bug, hunt));
  const controls = Map.groupBy(
    seen.filter(({ seed }) => seed !== null),
    ({ worlds }) => worlds,
  );
  const dirty = new Set<string>();
  await inTurn([...controls], async ([worlds, ofKind]) => {
    const seeds = [...new Set(ofKind.map(({ seed }) => seed))];
    const lived = await liveApart(['--worlds', worlds, '--these', seeds.join(',')]);
    for (const seed of lived.failed ?? seeds) dirty.add(`${worlds} ${seed}`);
    hunt.say(
      `without a mistake, ${worlds}: ${lived.failed?.length ?? seeds.length} of ${seeds.length} failed`,
    );
  });
  const catches = seen.map((one) => ({ ...one, isClean: !dirty.has(`${one.worlds} ${one.seed}`) }));
  sayTable(catches, hunt.say);
  const missed = catches.filter(({ seed, isClean }) => seed === null || !isClean).map(({ name }) => name);
  return { planted: catches.length, caught: catches.length - missed.length, missed, catches };
}
