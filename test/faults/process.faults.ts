import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LiveFault, Stage } from './fault.ts';
import { runInServer } from './inspector.ts';
import { findMemoryGroups } from './machine.ts';

const second = 1000;
const mib = 2 ** 20;

/** Lets the server run out of memory inside a group of its own, and waits for its successor. */
async function exhaustMemory({ world, say }: Stage): Promise<void> {
  const { installation } = world;
  const folder = path.join(findMemoryGroups() ?? '', `atlas-faults-${process.pid}`);
  mkdirSync(folder);
  try {
    // What a process holds already stays with its old group: the limit is on what comes.
    writeFileSync(path.join(folder, 'memory.limit_in_bytes'), String(96 * mib));
    const pid = installation.pidOf('server');
    writeFileSync(path.join(folder, 'cgroup.procs'), String(pid));
    say('the server asks for more memory than it may have');
    await runInServer(
      installation,
      `globalThis.hoard = []; setInterval(() => hoard.push(Buffer.alloc(${8 * mib}, 1)), 20)`,
    );
    await installation.isBack('server', pid);
  } finally {
    await removeGroup(folder);
  }
}

/** The last process of the group may only just have died. */
async function removeGroup(folder: string): Promise<void> {
  for (let tries = 0; existsSync(folder); tries += 1) {
    try {
      rmdirSync(folder);
    } catch (error) {
      if (tries > 50) throw error;
      await delay(100);
    }
  }
}

export const processes: readonly LiveFault[] = [
  {
    ids: ['F11'],
    kind: 'live',
    title: 'The identity provider is gone while the server starts again',
    method:
      'its address resets every connection; the server is killed meanwhile, so that no key of it is remembered',
    invariant: 'I1: what was released goes on to its end; people come back by themselves',
    inject: async ({ world, isSmoke, say }) => {
      const { identityDoor } = world.installation;
      const runId = await world.beginRun();
      identityDoor.become({ isShut: true });
      const pid = world.installation.pidOf('server');
      process.kill(pid, 'SIGKILL');
      await world.installation.isBack('server', pid);
      say('the server runs without an identity provider');
      await delay((isSmoke ? 10 : 60) * second);
      await world.until('the run ends without the identity provider', 60 * second, async () => {
        const rows = await world.installation.query(
          'select 1 from runs where id = $1 and ended_at is not null',
          [runId],
        );
        return runId === null || rows.length > 0;
      });
      identityDoor.become({});
      return { seen: `${isSmoke ? 10 : 60} s; the run that was under way ended meanwhile` };
    },
  },
  {
    ids: ['F14'],
    kind: 'live',
    needs: ['memoryCgroup'],
    title: 'The server is ended by the kernel for its memory',
    method: 'memory controller of 96 MiB around the server, which is made to hoard through its debugger',
    invariant: 'I1, I2, I5; the supervisor brings it back',
    inject: async (stage) => {
      await stage.world.beginRun();
      await delay(second);
      await exhaustMemory(stage);
      return { seen: 'one kill by the kernel' };
    },
  },
  {
    ids: ['F15'],
    kind: 'live',
    title: 'The server’s event loop is blocked for 20 s',
    method: 'a busy loop inside the running server, handed over through its debugger',
    invariant: 'I2: what stalled is not done twice',
    mayHarmHosts: true,
    inject: async ({ world, isSmoke, say }) => {
      const blockedS = isSmoke ? 8 : 20;
      await world.beginRun();
      await delay(second);
      say(`the event loop of the server is blocked for ${blockedS} s`);
      const until = `Date.now() + ${blockedS * second}`;
      await runInServer(world.installation, `{ const until = ${until}; while (Date.now() < until); }`);
      await delay(blockedS * second);
      return { seen: `${blockedS} s` };
    },
  },
  {
    ids: ['F42'],
    kind: 'live',
    isSmoke: true,
    title: 'The host restarts in the middle of an installation',
    method: 'the agent is killed while its package manager works, and starts in another boot of the host',
    invariant: 'I2, I11: done, not run or indeterminate',
    mayHarmHosts: true,
    inject: async ({ world, chance }) => {
      for (const host of world.hosts) host.behave({ installMs: 4000 });
      const before = await Promise.all(world.hosts.map((host) => host.journal()));
      await world.beginRun();
      const host = world.anyHost(chance);
      const known = before[world.hosts.indexOf(host)]?.commands;
      await world.until(`${host.name} installs`, 60 * second, async () => {
        const { commands } = await host.journal();
        return [...commands].some(
          ([id, { command, state }]) =>
            !known?.has(id) && command.verb === 'updates.install' && state === 'started',
        );
      });
      await delay(chance.between(0, 3500));
      host.signal('SIGKILL');
      host.reboot();
      for (const one of world.hosts) one.behave({});
      return { seen: host.name };
    },
  },
  {
    ids: ['F43'],
    kind: 'live',
    spoils: true,
    title: 'The package manager talks ten megabytes of garbage, then claims what it has not done',
    method:
      'control characters, lone surrogates and right-to-left marks in progress lines; then success without a change',
    invariant: 'I1, I14: no connection is lost over words, and nobody is called updated who is not',
    mayHarmHosts: true,
    inject: async ({ world, chance }) => {
      const [loud, liar] = chance.some(world.hosts, 2);
      loud?.behave({ mode: 'shouts' });
      liar?.behave({ mode: 'lies' });
      const runId = await world.beginRun();
      await world.until('the run ends', 90 * second, async () => {
        const rows = await world.installation.query(
          'select 1 from runs where id = $1 and ended_at is not null',
          [runId],
        );
        return rows.length > 0;
      });
      for (const host of world.hosts) host.behave({});
      const states = await world.installation.query<{ hostId: string; state: string }>(
        'select host_id as "hostId", state from host_runs where run_id = $1',
        [runId],
      );
      const stateOf = (hostId?: string) => states.find((one) => one.hostId === hostId)?.state ?? 'absent';
      const broken =
        stateOf(liar?.hostId) === 'committed'
          ? ['a host whose package manager lied is called committed']
          : [];
      if (stateOf(loud?.hostId) !== 'committed') broken.push(`the loud host ended ${stateOf(loud?.hostId)}`);
      const seen = `the loud one ${stateOf(loud?.hostId)}, the lying one ${stateOf(liar?.hostId)}`;
      // Its journal repeats what it was told.
      return { broken, seen, forgetful: liar === undefined ? [] : [liar.name] };
    },
  },
  {
    ids: ['F43'],
    kind: 'live',
    title: 'The package manager hangs for ever',
    method: 'it never answers whether it is ready',
    invariant: 'I1: the agent’s own clock ends the step, and the run ends',
    mayHarmHosts: true,
    recoverWithinMs: 240_000,
    inject: async ({ world, chance }) => {
      const host = world.anyHost(chance);
      host.behave({ mode: 'hangs' });
      const runId = await world.beginRun();
      const startedAtMs = Date.now();
      await world.until('the run ends', 400 * second, async () => {
        const rows = await world.installation.query(
          'select 1 from runs where id = $1 and ended_at is not null',
          [runId],
        );
        return rows.length > 0;
      });
      host.behave({});
      return { seen: `the run ended after ${Math.round((Date.now() - startedAtMs) / second)} s` };
    },
  },
];
