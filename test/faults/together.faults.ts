import { setTimeout as delay } from 'node:timers/promises';
import type { LiveFault, Stage } from './fault.ts';

const second = 1000;

/** Small mishaps that heal themselves; each ends before it returns. */
const mishaps: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'server killed': (stage) => kill(stage, 'server'),
  'PostgreSQL killed': (stage) => kill(stage, 'postgres'),
  'Redis killed': (stage) => kill(stage, 'redis'),
  'agent killed': ({ world, chance }) => {
    world.anyHost(chance).signal('SIGKILL');
    return Promise.resolve();
  },
  'agent frozen': async ({ world, chance }) => {
    const host = world.anyHost(chance);
    host.signal('SIGSTOP');
    await delay(chance.between(1, 12) * second);
    host.signal('SIGCONT');
  },
  'server frozen': async ({ world, chance }) => {
    const pid = world.installation.pidOf('server');
    const send = (signal: NodeJS.Signals): void => {
      try {
        process.kill(pid, signal);
      } catch (error) {
        // Another mishap was quicker.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    };
    send('SIGSTOP');
    await delay(chance.between(1, 8) * second);
    send('SIGCONT');
  },
  'connections reset': ({ world }) => {
    world.installation.agentsDoor.reset();
    return Promise.resolve();
  },
  'bad way': async ({ world, chance }) => {
    world.installation.agentsDoor.become({ latencyMs: 300, jitterMs: 700 }, chance);
    await delay(8 * second);
    world.installation.agentsDoor.become({});
  },
  'host restarted': ({ world, chance }) => {
    const host = world.anyHost(chance);
    host.signal('SIGKILL');
    host.reboot();
    return Promise.resolve();
  },
};

async function kill(
  { world: { installation } }: Stage,
  name: 'server' | 'postgres' | 'redis',
): Promise<void> {
  const pid = installation.pidOf(name);
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It is just being started again.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await installation.isBack(name, pid);
}

export const together: readonly LiveFault[] = [
  {
    ids: ['F48'],
    kind: 'live',
    isSmoke: true,
    title: 'Three faults at once, again and again',
    method: 'three of nine mishaps by chance at the same time, a run of orders under way, round after round',
    invariant: 'all of the above: 0 broken',
    mayHarmHosts: true,
    inject: async (stage) => {
      const rounds = stage.isSmoke ? 1 : 12;
      const lived: string[] = [];
      for (let round = 0; round < rounds; round += 1) {
        await stage.world.beginRun();
        await delay(stage.chance.between(0, 2 * second));
        const chosen = stage.chance.some(Object.entries(mishaps), 3);
        const names = chosen.map(([name]) => name);
        stage.say(`${round + 1} of ${rounds}: ${names.join(', ')}`);
        await Promise.all(chosen.map(([, befall]) => befall(stage)));
        lived.push(...names);
        await delay(stage.chance.between(1, 4) * second);
      }
      return { seen: `${rounds} rounds, ${lived.length} mishaps` };
    },
  },
];
