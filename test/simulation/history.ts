import { faultsOf, isAtRest } from './checker.ts';
import { blow, forecast } from './faults.ts';
import { maxHosts, type Ground } from './ground.ts';
import { loop } from './os/loop.ts';
import { tellStory } from './story.ts';
import { SimulatedWorld, type StoryLine } from './world.ts';

/** How one seed went. */
export interface History {
  readonly seed: number;
  readonly weather: string;
  /** What is wrong, in words; empty when every promise was kept. */
  readonly faults: readonly string[];
  readonly story: readonly StoryLine[];
  readonly events: number;
  /** Time that passed in the world, seconds. */
  readonly worldSeconds: number;
  readonly states: readonly string[];
}

const minute = 60_000;
const hour = 60 * minute;
/** After this nothing in the product may still wait: the longest clock of a state is two hours. */
const patienceMs = 5 * hour;

/** Lives one seed from its beginning to its end and judges it. `minutes`: how long the world is unkind. */
export async function live(ground: Ground, seed: number, minutes: number): Promise<History> {
  loop.reset(Math.floor(loop.nowMs / 1000) * 1000, seed);
  const world = new SimulatedWorld(ground);
  await world.clear();
  try {
    return await unfold(world, seed, minutes);
  } finally {
    await world.end();
  }
}

async function unfold(world: SimulatedWorld, seed: number, minutes: number): Promise<History> {
  const count = loop.chance.between(1, maxHosts);
  await world.populate(count);
  for (const host of world.hosts) if (loop.chance.happens(0.25)) host.broken.add('app=1.1');
  world.startServer();
  for (const host of world.hosts) host.start();
  await loop.live(loop.nowMs + 20_000);
  // No throw of the dice, so that the stories of other seeds stay what they are.
  await createRuns(world, seed % 3 === 0);
  world.watchHosts();
  const weather = forecast();
  world.tell(`weather: ${weather.name}, every ${weather.everyMs / 1000} s`);
  const calmDown = blow(world, weather);
  await loop.live(loop.nowMs + minutes * minute);
  calmDown();
  const untilMs = loop.nowMs + patienceMs;
  while (loop.nowMs < untilMs && (world.leftAlone.size > 0 || !(await isAtRest(world))))
    await loop.live(loop.nowMs + minute);
  // What an agent still has to say arrives within its slowest pace of coming back.
  await loop.live(loop.nowMs + 5 * minute);
  const faults = await faultsOf(world, {
    isHarmless: weather.isHarmless,
    isCalm: weather.mishaps.length === 0,
  });
  const states = await world.query<{ state: string }>('select state from host_runs order by id');
  return {
    ...{
      seed,
      weather: weather.name,
      faults,
      story: faults.length === 0 ? [] : await tellStory(world),
      events: loop.events,
    },
    worldSeconds: Math.round((loop.nowMs - world.startMs) / 1000),
    states: states.map(({ state }) => state),
  };
}

async function createRuns(world: SimulatedWorld, drained: boolean): Promise<void> {
  const all = [...world.hosts];
  if (all.length > 1 && loop.chance.happens(0.3))
    await loop.until(world.createGroup(all.slice(0, loop.chance.between(2, all.length)), 1));
  const cut = loop.chance.between(1, all.length);
  const waves = [all.slice(0, cut), all.slice(cut)].filter((wave) => wave.length > 0);
  const wish = {
    waves,
    pauseS: loop.chance.pick([0, 0, 30]),
    failureThresholdPercent: loop.chance.pick([20, 50, 100]),
    windowMs: loop.chance.pick([loop.chance.between(2, 4), 20, 20, 60]) * minute,
    guarded: loop.chance.happens(0.6),
    drained,
  };
  await loop.until(world.createRun(wish));
  // Two runs may want the same host.
  if (loop.chance.happens(0.3))
    await loop.until(world.createRun({ ...wish, waves: [[loop.chance.pick(all)]] }));
}
