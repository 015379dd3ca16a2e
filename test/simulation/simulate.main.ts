import { parseArgs } from 'node:util';
import { simulateSystem } from './hooks.ts';
import { plantedBugs } from './planted.ts';
import { plantAll, type Summary } from './planting.ts';
import type { History } from './history.ts';
import { isWorldKind, worldKinds } from './worldKinds.ts';

/*
 * simulate [--seed N] [--seeds K] [--minutes M] [--worlds KIND] [--json]   lives K histories from seed N on
 * simulate --these N,M,… [--minutes M] [--worlds KIND] [--json]            lives these seeds
 * simulate --planted [--seed N] [--seeds K] [--json]                       plants each known mistake and looks whether it is seen
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string' },
    these: { type: 'string' },
    minutes: { type: 'string', default: '5' },
    worlds: { type: 'string' },
    bug: { type: 'string' },
    planted: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

/** Seeds tried for a planted mistake before it counts as not seen. */
const plantedSeeds = 100;

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
async function liveSeeds(seeds: readonly number[]): Promise<Summary> {
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
  for (const seed of seeds) {
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

/** The seeds that were asked for. */
function wishedSeeds(): number[] {
  if (values.these !== undefined) return values.these.split(',').map(Number);
  const [first, count] = [Number(values.seed), Number(values.seeds ?? 1)];
  return Array.from({ length: count }, (_, index) => first + index);
}

if (values.planted) {
  const seeds = Number(values.seeds ?? plantedSeeds);
  const summary = await plantAll({ firstSeed: Number(values.seed), seeds, say });
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  process.exitCode = summary.caught === summary.planted ? 0 : 1;
} else {
  const summary = await liveSeeds(wishedSeeds());
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  process.exitCode = summary.failed.length === 0 ? 0 : 1;
}
