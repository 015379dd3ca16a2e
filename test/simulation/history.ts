import { faultsOf, isAtRest } from './checker.ts';
import { blow, forecast } from './faults.ts';
import { maxHosts, type Ground } from './ground.ts';
import { loop } from './os/loop.ts';
import { sayFreeze, sayGroup, sayGuest } from './people.ts';
import { Chance } from './os/random.ts';
import { tellStory } from './story.ts';
import { SimulatedWorld, type StoryLine } from './world.ts';
import type { WorldKind } from './worldKinds.ts';

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

/** Which history is lived: its seed, the kind of its world, and for how many minutes that is unkind. */
export interface HistoryWish {
  readonly seed: number;
  readonly kind: WorldKind;
  readonly minutes: number;
}

/** Lives one seed from its beginning to its end and judges it. */
export async function live(ground: Ground, wish: HistoryWish): Promise<History> {
  const { seed } = wish;
  loop.reset(Math.floor(loop.nowMs / 1000) * 1000, seed);
  const world = new SimulatedWorld(ground);
  await world.clear();
  try {
    return await unfold(world, wish);
  } finally {
    await world.end();
  }
}

async function unfold(world: SimulatedWorld, { seed, kind, minutes }: HistoryWish): Promise<History> {
  const count = loop.chance.between(1, maxHosts);
  await world.populate(count);
  for (const host of world.hosts) if (loop.chance.happens(kind.broken)) host.broken.add('app=1.1');
  world.startServer();
  for (const host of world.hosts) host.start();
  await loop.live(loop.nowMs + 20_000);
  // No throw of the dice, so that the stories of other seeds stay what they are.
  await restrain(world, kind, new Chance(seed, 1));
  await createRuns(world, { ...kind, isDrained: kind.isDrained ?? seed % 3 === 0 });
  world.watchHosts();
  const weather = forecast(kind);
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

async function createRuns(
  world: SimulatedWorld,
  kind: WorldKind & { readonly isDrained: boolean },
): Promise<void> {
  const all = [...world.hosts];
  if (all.length > 1 && loop.chance.happens(kind.grouped))
    await sayGroup(world, all.slice(0, loop.chance.between(2, all.length)), 1);
  const cut = loop.chance.between(1, all.length);
  const waves = [all.slice(0, cut), all.slice(cut)].filter((wave) => wave.length > 0);
  const wish = {
    waves,
    pauseS: loop.chance.pick([0, 0, 30]),
    failureThresholdPercent: loop.chance.pick([20, 50, 100]),
    windowMs: loop.chance.pick([loop.chance.between(2, 4), 20, 20, 60]) * minute,
    guarded: loop.chance.happens(0.6),
    drained: kind.isDrained,
  };
  if (kind.windowMinutes !== null) wish.windowMs = kind.windowMinutes * minute;
  if (kind.isGuarded !== null) wish.guarded = kind.isGuarded;
  await loop.until(world.createRun(wish));
  // Two runs may want the same host.
  if (loop.chance.happens(0.3))
    await loop.until(world.createRun({ ...wish, waves: [[loop.chance.pick(all)]] }));
}

/** What people have said before the runs come. It has dice of its own: a history without any of it is not touched. */
async function restrain(world: SimulatedWorld, kind: WorldKind, chance: Chance): Promise<void> {
  const [guest, ...others] = world.hosts;
  if (guest !== undefined && others.length > 0 && chance.happens(kind.grouped))
    await sayGuest(world, guest, chance.pick(others));
  if (!chance.happens(kind.frozen)) return;
  const fromMs = loop.nowMs + chance.between(-2, 4) * minute;
  const untilMs = Math.max(loop.nowMs + minute, fromMs + chance.between(2, 8) * minute);
  const isLifted = chance.happens(0.3);
  await sayFreeze(world, { fromMs, untilMs }, isLifted ? chance.between(loop.nowMs + 1000, untilMs) : null);
}
