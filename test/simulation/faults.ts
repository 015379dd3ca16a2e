import { accessFaults } from './os/disk.ts';
import { databaseFaults } from './os/pg.ts';
import { loop } from './os/loop.ts';
import { network } from './os/network.ts';
import { packageFaults } from './host/provider.ts';
import { hostFaults, SimulatedHost } from './host/simulatedHost.ts';
import { askReadings, pressButton } from './people.ts';
import type { SimulatedWorld } from './world.ts';
import type { Mood, WorldKind } from './worldKinds.ts';

/** How often each mishap comes, and for how long the world is unkind. All of it follows from the seed. */
export interface Weather {
  readonly name: string;
  readonly everyMs: number;
  readonly mishaps: readonly (keyof typeof mishaps)[];
  readonly statementLost: number;
  readonly serialisation: number;
  readonly commitLost: number;
  readonly commitUnsure: number;
  readonly starved: number;
  readonly packages: Readonly<Record<keyof typeof packageFaults, number>>;
  readonly slownessMs: number;
  /** Somebody keeps looking at the hosts. */
  readonly isWatched: boolean;
  /** Somebody keeps pressing buttons. */
  readonly isPressed: boolean;
  /** Probability of a death around what changes a host. */
  readonly atEffect: number;
  /** Probability that a service or the site's own program does not do what it is told. */
  readonly work: number;
  /** No host may end otherwise than in the best weather. */
  readonly isHarmless: boolean;
}

const minute = 60_000;

const mishaps = {
  serverDies(world: SimulatedWorld): void {
    // A server that is hardly ever there cannot be made up for: every order has its clock.
    const isSpared = world.isSpared && loop.nowMs - world.serverSinceMs < minute;
    if (world.server === null || isSpared) return;
    world.killServer();
    loop.after(loop.chance.between(500, 90_000), () => world.startServer(), null);
  },
  serverAwayLong(world: SimulatedWorld): void {
    if (world.server === null) return;
    world.killServer();
    loop.after(loop.chance.between(2 * minute, 8 * minute), () => world.startServer(), null);
  },
  agentDies(world: SimulatedWorld): void {
    const host = aim(world);
    world.tell(`the agent of ${host.name} is killed`);
    host.killAgent();
  },
  powerLost(world: SimulatedWorld): void {
    const host = aim(world);
    if (!host.isUp) return;
    world.tell(`${host.name} loses its power`);
    host.goDown('power', loop.chance.between(5000, 2 * minute));
  },
  networkCut(world: SimulatedWorld): void {
    const host = loop.chance.pick(world.hosts);
    cutFor(world, host, loop.chance.between(1000, 90_000));
  },
  networkCutLong(world: SimulatedWorld): void {
    const host = loop.chance.pick(world.hosts);
    cutFor(world, host, loop.chance.between(3 * minute, 12 * minute));
  },
  /** Cut off for longer than any guard waits, whatever the weather: the host has nobody but itself. */
  leftAlone(world: SimulatedWorld): void {
    const host = world.hosts.find((one) => one.isChanging || one.drain.isOut);
    // It is worst in the middle of a change: look again until one is.
    if (host === undefined || network.isCut(host)) {
      const again = (): void => {
        if (world.isStormy && world.leftAlone.size === 0) mishaps.leftAlone(world);
      };
      loop.after(700, again, null);
      return;
    }
    // Sometimes longer than the server waits for it.
    const isGivenUp = loop.chance.happens(0.3);
    const ms = isGivenUp
      ? loop.chance.between(65 * minute, 80 * minute)
      : loop.chance.between(30 * minute, 50 * minute);
    world.tell(`${host.name} is left alone for ${Math.round(ms / minute)} min`);
    network.cut(host);
    world.leftAlone.add(host);
    loop.after(
      ms,
      () => {
        world.leftAlone.delete(host);
        network.heal(host);
      },
      null,
    );
  },
  connectionsReset(world: SimulatedWorld): void {
    world.tell('connections are reset');
    network.resetSome(0.5);
  },
  redisEmptied(world: SimulatedWorld): void {
    world.tell('Redis is emptied');
    world.redis.empty();
  },
  redisAway(world: SimulatedWorld): void {
    if (world.redis.isDown) return;
    world.tell('Redis is away for a while');
    world.redis.isDown = true;
    loop.after(
      loop.chance.between(5000, 5 * minute),
      () => {
        world.redis.isDown = false;
      },
      null,
    );
  },
  clockJumps(world: SimulatedWorld): void {
    const host = loop.chance.pick(world.hosts);
    host.skewMs = loop.chance.between(-20_000, 20_000);
    world.tell(`the clock of ${host.name} is off by ${Math.round(host.skewMs / 1000)} s`);
  },
  diskSlow(world: SimulatedWorld): void {
    aim(world).disk.slowness = slowness();
  },
  diskFull(world: SimulatedWorld): void {
    const host = loop.chance.pick(world.hosts);
    world.tell(`the disk of ${host.name} is full for a while`);
    host.disk.freeBytes = 1_000_000;
    loop.after(
      loop.chance.between(5000, 3 * minute),
      () => {
        host.disk.freeBytes = 20 * 1024 ** 3;
      },
      null,
    );
  },
  stop(world: SimulatedWorld): void {
    world.setStop(true);
    loop.after(loop.chance.between(5000, 4 * minute), () => world.setStop(false), null);
  },
  person(world: SimulatedWorld): void {
    pressButton(world);
  },
  readings(world: SimulatedWorld): void {
    askReadings(world, aim(world));
  },
};

/** How many times slower than a good one a disk is: often so slow that every flush takes a second. */
function slowness(): number {
  return loop.chance.pick([1, 20, loop.chance.between(150, 250), loop.chance.between(150, 250)]);
}

/** Often a host that is in the middle of something: there is more to break. */
function aim(world: SimulatedWorld): SimulatedHost {
  const busy = world.hosts.filter((host) => host.isBusy);
  return loop.chance.pick(busy.length > 0 && loop.chance.happens(0.7) ? busy : world.hosts);
}

function cutFor(world: SimulatedWorld, host: SimulatedHost, ms: number): void {
  if (network.isCut(host)) return;
  world.tell(`${host.name} is cut off for ${Math.round(ms / 1000)} s`);
  network.cut(host);
  loop.after(ms, () => network.heal(host), null);
}

/** Mishaps in which no host may end otherwise than in the best weather: nothing of them is the host's fault. */
const harmless = new Set<string>([
  'serverDies',
  'connectionsReset',
  'redisEmptied',
  'redisAway',
  'readings',
  'networkCut',
]);

/** Deaths and what makes races long are what most of the product's care is about. */
const common: readonly (readonly [Kind, number])[] = [
  ['agentDies', 0.35],
  ['powerLost', 0.25],
  ['diskSlow', 0.4],
];

type Kind = keyof typeof mishaps;

const kinds = Object.keys(mishaps) as Kind[];

const moods: readonly Mood[] = ['calm', 'gentle', 'gentle', 'slow', 'bad', 'bad', 'bad', 'bad', 'bad'];

/** Which mishaps come: none, harmless ones only, slow disks only, or a few of any kind: rare meetings need room. */
function chooseKinds(mood: Mood): readonly Kind[] {
  if (mood === 'calm') return [];
  if (mood === 'slow') return ['diskSlow'];
  const pool = mood === 'gentle' ? kinds.filter((kind) => harmless.has(kind)) : kinds;
  const count = loop.chance.between(1, 4);
  const chosen = new Set<Kind>();
  while (chosen.size < count) chosen.add(loop.chance.pick(pool));
  for (const [kind, probability] of common)
    if (pool.includes(kind) && loop.chance.happens(probability)) chosen.add(kind);
  return [...chosen];
}

/** The weather of a seed in a kind of world. */
export function forecast(kind: WorldKind): Weather {
  const drawn = loop.chance.pick(moods);
  const mood = kind.mood ?? drawn;
  const isHarmless = (mood === 'calm' || mood === 'gentle') && kind.besides.every((one) => harmless.has(one));
  const chosen = [...new Set<Kind>([...chooseKinds(mood), ...kind.besides])];
  const some = (probability: number) => (mood !== 'calm' && loop.chance.happens(0.4) ? probability : 0);
  const worse = (probability: number) => (mood === 'bad' ? some(probability) : 0);
  return {
    name: chosen.length === 0 ? mood : chosen.join(', '),
    everyMs: kind.everyMs ?? loop.chance.pick([2000, 6000, 15_000, 40_000]),
    mishaps: chosen,
    statementLost: some(0.01),
    serialisation: some(0.05),
    commitLost: some(0.03),
    commitUnsure: some(0.03),
    starved: some(0.1),
    packages: { network: worse(0.3), busy: worse(0.2), script: worse(0.3) },
    slownessMs: loop.chance.pick([5, 50, 800]),
    isWatched: mood !== 'calm' && loop.chance.happens(0.5),
    isPressed: mood === 'bad' && loop.chance.happens(0.5),
    atEffect: kind.atEffect ?? (mood === 'bad' ? loop.chance.pick([0, 0, 0.3, 0.5]) : 0),
    work: isHarmless ? 0 : (kind.stubborn ?? 0.15),
    isHarmless,
  };
}

/** Lets the weather blow until it is told to stop. */
export function blow(world: SimulatedWorld, weather: Weather): () => void {
  let isOver = false;
  Object.assign(databaseFaults, weather);
  Object.assign(packageFaults, weather.packages);
  network.slownessMs = weather.slownessMs;
  world.redis.loss = weather.mishaps.includes('redisEmptied') ? 0.3 : 0;
  world.redis.twice = weather.mishaps.includes('redisEmptied') ? 0.2 : 0;
  blowAtSteps(world, weather);
  const next = (): void => {
    if (isOver) return;
    if (weather.mishaps.length > 0) mishaps[loop.chance.pick(weather.mishaps)](world);
    loop.after(loop.chance.between(1, 2 * weather.everyMs), next, null);
  };
  loop.after(loop.chance.between(1000, weather.everyMs), next, null);
  const again = (act: () => void, everyMs: number): void => {
    if (isOver) return;
    act();
    loop.after(loop.chance.between(2000, 2 * everyMs), () => again(act, everyMs), null);
  };
  if (weather.isWatched) again(() => askReadings(world, loop.chance.pick(world.hosts)), 10_000);
  if (weather.isPressed) again(() => pressButton(world), 15_000);
  if (weather.mishaps.includes('diskSlow')) for (const { disk } of world.hosts) disk.slowness = slowness();
  world.isStormy = true;
  return () => {
    isOver = true;
    world.isStormy = false;
    calm(world);
  };
}

/** Deaths that come at the worst moment: at an access to the disk or a program that is run, at a statement, right after a commit. */
function blowAtSteps(world: SimulatedWorld, weather: Weather): void {
  const { mishaps: kinds, atEffect, work, isHarmless } = weather;
  const [agents, power] = [kinds.includes('agentDies'), kinds.includes('powerLost')];
  accessFaults.probability = agents || power ? loop.chance.pick([0, 0.002, 0.01]) : 0;
  accessFaults.strike = (machine) => {
    if (!(machine instanceof SimulatedHost)) return;
    const isPower = power && loop.chance.happens(agents ? 0.4 : 0.6);
    world.tell(`${isPower ? 'the power' : 'the agent'} of ${machine.name} goes in the middle of something`);
    if (isPower) machine.goDown('power', loop.chance.between(5000, minute));
    else machine.killAgent();
  };
  Object.assign(hostFaults, { atEffect, otherwise: atEffect / 30, work });
  hostFaults.strike = (machine) => accessFaults.strike(machine);
  world.isSpared = isHarmless;
  const deaths = isHarmless ? [0, 0.0002, 0.0005] : [0, 0.0005, 0.003];
  databaseFaults.death = kinds.includes('serverDies') ? loop.chance.pick(deaths) : 0;
}

/** Everything that was broken from outside is whole again; what the product made of it is not touched. */
function calm(world: SimulatedWorld): void {
  world.tell('the weather is calm again');
  Object.assign(databaseFaults, {
    statementLost: 0,
    serialisation: 0,
    commitUnsure: 0,
    commitLost: 0,
    starved: 0,
    death: 0,
  });
  accessFaults.probability = 0;
  Object.assign(hostFaults, { atEffect: 0, otherwise: 0, work: 0 });
  Object.assign(packageFaults, { network: 0, busy: 0, script: 0 });
  network.slownessMs = 20;
  Object.assign(world.redis, { loss: 0, twice: 0, isDown: false });
  world.setStop(false);
  for (const host of world.hosts) {
    if (!world.leftAlone.has(host)) network.heal(host);
    Object.assign(host, { skewMs: 0 });
    Object.assign(host.disk, { slowness: 1, freeBytes: 20 * 1024 ** 3 });
    host.start();
    host.startAgent();
  }
  world.startServer();
}
