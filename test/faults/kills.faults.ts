import { setTimeout as delay } from 'node:timers/promises';
import type { LiveFault, Stage } from './fault.ts';
import type { ServiceName } from './installation.ts';

const second = 1000;

/** Kills a service `rounds` times at moments of chance, a run of orders under way; each time another process must stand up by itself. */
async function killService(stage: Stage, name: ServiceName, rounds: number): Promise<string> {
  const { world, chance, say } = stage;
  const { installation } = world;
  for (let round = 0; round < rounds; round += 1) {
    if (round === 0) await world.beginRun();
    await delay(chance.between(50, 3 * second));
    const pid = installation.pidOf(name);
    say(`kill -9 ${name} (${round + 1} of ${rounds})`);
    process.kill(pid, 'SIGKILL');
    await installation.isBack(name, pid);
    await delay(chance.between(100, 2 * second));
  }
  return `${rounds} kills`;
}

export const kills: readonly LiveFault[] = [
  {
    ids: ['F01', 'F02', 'F03', 'F04'],
    kind: 'live',
    isSmoke: true,
    title: 'kill -9 of the server: api, worker, scheduler and gateway are one process',
    method: 'SIGKILL to the pid at seeded moments, orders and readings under way',
    invariant: 'I1, I2, I5; the supervisor brings it back without a hand',
    inject: async (stage) => ({ seen: await killService(stage, 'server', stage.isSmoke ? 1 : 8) }),
  },
  {
    ids: ['F05'],
    kind: 'live',
    isSmoke: true,
    title: 'kill -9 of agents',
    method: 'SIGKILL to an agent of chance at seeded moments, also in the middle of an installation',
    invariant: 'I2, I11: done, not run or indeterminate, never run again',
    mayHarmHosts: true,
    inject: async ({ world, chance, isSmoke, say }) => {
      await world.beginRun();
      const rounds = isSmoke ? 4 : 20;
      for (let round = 0; round < rounds; round += 1) {
        await delay(chance.between(20, 1500));
        const host = world.anyHost(chance);
        say(`kill -9 the agent of ${host.name} (${round + 1} of ${rounds})`);
        host.signal('SIGKILL');
      }
      return { seen: `${rounds} kills` };
    },
  },
  {
    ids: ['F07'],
    kind: 'live',
    isSmoke: true,
    title: 'kill -9 of PostgreSQL under load',
    method: 'SIGKILL to the postmaster at seeded moments, orders and readings under way',
    invariant: 'I1, I2, I5: nothing that was acknowledged is lost',
    inject: async (stage) => ({ seen: await killService(stage, 'postgres', stage.isSmoke ? 1 : 5) }),
  },
  {
    ids: ['F12'],
    kind: 'live',
    title: 'Server frozen for 35 s (longer than a queue’s lease), then awake',
    method: 'SIGSTOP, SIGCONT to the pid of the server',
    invariant: 'I2, I5: the late worker does nothing twice',
    inject: async ({ world, say }) => {
      await world.beginRun();
      await delay(second);
      const pid = world.installation.pidOf('server');
      say('SIGSTOP the server for 35 s');
      process.kill(pid, 'SIGSTOP');
      await delay(35 * second);
      process.kill(pid, 'SIGCONT');
      return { seen: '35 s' };
    },
  },
  {
    ids: ['F13'],
    kind: 'live',
    title: 'Agent frozen for 60 s in the middle of a run, then awake',
    method: 'SIGSTOP, SIGCONT to the pid of an agent of chance',
    invariant: 'I2, I11: fencing refuses what is late, the host is found again',
    mayHarmHosts: true,
    inject: async ({ world, chance, say }) => {
      await world.beginRun();
      await delay(chance.between(100, 1500));
      const host = world.anyHost(chance);
      say(`SIGSTOP the agent of ${host.name} for 60 s`);
      host.signal('SIGSTOP');
      await delay(60 * second);
      host.signal('SIGCONT');
      return { seen: '60 s' };
    },
  },
];
