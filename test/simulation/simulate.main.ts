import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { simulateSystem, type PlantedBug } from './hooks.ts';
import { plantedBugs } from './planted.ts';
import type { History } from './history.ts';
import { isWorldKind, worldKinds } from './worldKinds.ts';

/*
 * simulate [--seed N] [--seeds K] [--minutes M] [--worlds KIND] [--json]   lives K histories from seed N on
 * simulate --planted [--seeds K] [--json]                                  plants each known mistake and looks whether it is seen
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string' },
    minutes: { type: 'string', default: '5' },
    worlds: { type: 'string' },
    bug: { type: 'string' },
    planted: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

/** Seeds tried for a planted mistake before it counts as not seen. */
const plantedSeeds = 100;

interface Summary {
  readonly seeds: number;
  readonly failed: readonly number[];
  /** What was wrong first, in words; null when nothing was. */
  readonly fault: string | null;
  /** Time that passed in the worlds, hours. */
  readonly worldHours: number;
  readonly events: number;
}

const say = (text: string): void => {
  if (!values.json) process.stdout.write(`${text}\n`);
};

function report(history: History, tookMs: number): void {
  const { seed, faults, weather, states, worldSeconds, events, story } = history;
  const verdict = faults.length === 0 ? '✓' : '✗';
  say(
    `${verdict} ${seed}: ${states.join(' ')} — ${weather} (${worldSeconds} s, ${events} events, ${tookMs} ms)`,
  );
  if (faults.length === 0) return;
  for (const fault of faults) say(`    ${fault}`);
  for (const { atMs, text } of story) say(`    ${(atMs / 1000).toFixed(1).padStart(8)} s  ${text}`);
}

/** Lives the seeds one after the other; with a planted mistake it ends with the first one that shows it. */
async function liveSeeds(first: number, count: number): Promise<Summary> {
  const bug = plantedBugs.find(({ name }) => name === values.bug) ?? null;
  if (values.bug !== undefined && bug === null) throw new Error(`no planted mistake is called ${values.bug}`);
  const kind = values.worlds ?? bug?.kind ?? 'any';
  if (!isWorldKind(kind)) {
    throw new Error(`no kind of world is called ${kind}: there is ${Object.keys(worldKinds).join(', ')}`);
  }
  simulateSystem(bug);
  const { createGround } = await import('./ground.ts');
  const ground = await createGround();
  const { loop, real } = await import('./os/loop.ts');
  const { replaceGlobals } = await import('./os/globals.ts');
  loop.nowMs = real.Date.now();
  replaceGlobals();
  const { live } = await import('./history.ts');
  const failed: number[] = [];
  let fault: string | null = null;
  let [seconds, events, done] = [0, 0, 0];
  for (let seed = first; seed < first + count; seed += 1) {
    const began = real.performanceNow();
    const history = await live(ground, { seed, kind: worldKinds[kind], minutes: Number(values.minutes) });
    report(history, Math.round(real.performanceNow() - began));
    done += 1;
    seconds += history.worldSeconds;
    events += history.events;
    if (history.faults.length > 0) failed.push(seed);
    fault ??= history.faults[0] ?? null;
    if (history.faults.length > 0 && bug !== null) break;
  }
  await ground.database.drop();
  return { seeds: done, failed, fault, worldHours: Math.round(seconds / 360) / 10, events };
}

interface Catch {
  readonly name: string;
  /** The kind of world in which it was looked for. */
  readonly worlds: string;
  /** The first seed that showed the mistake; null when none did. */
  readonly seed: number | null;
  readonly fault: string | null;
}

function plant({ name, kind = 'any' }: PlantedBug, seeds: number): Promise<Catch> {
  const args = [
    import.meta.filename,
    '--bug',
    name,
    '--seed',
    values.seed,
    '--seeds',
    String(seeds),
    '--json',
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    child.once('error', reject);
    child.once('close', () => {
      const last = text.trim().split('\n').at(-1) ?? '';
      // A child that fell before its summary has seen nothing.
      const { failed = [], fault = null } = JSON.parse(last === '' ? '{}' : last) as Partial<Summary>;
      resolve({ name, worlds: kind, seed: failed[0] ?? null, fault });
    });
  });
}

/** One line for each mistake: in which worlds it was looked for, at which seed it was seen, and by what. */
function sayTable(catches: readonly Catch[]): void {
  const width = Math.max(...catches.map(({ name }) => name.length));
  const kindWidth = Math.max(...catches.map(({ worlds }) => worlds.length));
  for (const { name, worlds, seed, fault } of catches) {
    const at = `${worlds.padEnd(kindWidth)}  ${(seed?.toString() ?? 'not seen').padStart(8)}`;
    say(`${name.padEnd(width)}  ${at}  ${fault ?? ''}`);
  }
}

async function plantAll(seeds: number) {
  const waiting = [...plantedBugs];
  const catches: Catch[] = [];
  const work = async (): Promise<void> => {
    for (let bug = waiting.shift(); bug !== undefined; bug = waiting.shift()) {
      const caught = await plant(bug, seeds);
      catches.push(caught);
      say(`${caught.seed === null ? '✗' : '✓'} ${bug.name}: ${bug.harm}`);
    }
  };
  await Promise.all([work(), work()]);
  const order = plantedBugs.map(({ name }) => name);
  catches.sort((one, other) => order.indexOf(one.name) - order.indexOf(other.name));
  sayTable(catches);
  const missed = catches.filter(({ seed }) => seed === null).map(({ name }) => name);
  return { planted: catches.length, caught: catches.length - missed.length, missed, catches };
}

if (values.planted) {
  const summary = await plantAll(Number(values.seeds ?? plantedSeeds));
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  process.exitCode = summary.caught === summary.planted ? 0 : 1;
} else {
  const summary = await liveSeeds(Number(values.seed), Number(values.seeds ?? 1));
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  process.exitCode = summary.failed.length === 0 ? 0 : 1;
}
