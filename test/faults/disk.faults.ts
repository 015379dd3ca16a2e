import { appendFileSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { decodeJournal, encodeFrame } from '../../agent/src/journal/frames.ts';
import type { LiveFault, Stage } from './fault.ts';
import type { Host } from './hosts.ts';
import { onSmallDisk, SmallDisk } from './smallDisk.ts';
import type { WorldBend } from './world.ts';

const second = 1000;
const mib = 2 ** 20;
let databaseDisk: SmallDisk | null = null;

/** An installation whose PostgreSQL has a disk of its own. */
function databaseOn(options: string): () => Promise<WorldBend> {
  return () =>
    Promise.resolve({
      beforeStart: (stateDir: string) => {
        databaseDisk = new SmallDisk(path.join(stateDir, 'postgres'), options);
        return Promise.resolve();
      },
      afterStop: () => databaseDisk?.unmount(),
    });
}

function diskOfDatabase(): SmallDisk {
  if (databaseDisk === null) throw new Error('PostgreSQL has no disk of its own');
  return databaseDisk;
}

/** How many commands clients were told are taken between two instants. */
function taken({ world }: Stage, fromMs: number, toMs: number): number {
  return world.load.acknowledged.filter(({ acknowledgedAtMs: at }) => at > fromMs && at < toMs).length;
}

/** Fills the disk of PostgreSQL under load, and gives the room back. */
async function fillDatabase(stage: Stage, fill: (disk: SmallDisk) => number): Promise<string> {
  const disk = diskOfDatabase();
  await stage.world.beginRun();
  await delay(second);
  const fromMs = Date.now();
  const free = fill(disk);
  stage.say(`the disk of PostgreSQL is full (${free} were free)`);
  await delay(15 * second);
  const count = taken(stage, fromMs + 5 * second, Date.now());
  disk.empty();
  return `${free} were free; ${count} commands taken while it was full`;
}

/** The agent's program fails calls of the system by chance for a while. */
async function failCalls(stage: Stage, rules: readonly string[]): Promise<string> {
  const { world, chance, isSmoke } = stage;
  const host = world.anyHost(chance);
  await host.stop();
  const before = host.starts;
  host.wrapping = { line: ['fiu-run', '-x', ...rules.flatMap((rule) => ['-c', rule])] };
  host.start();
  await world.beginRun();
  await delay((isSmoke ? 15 : 60) * second);
  await host.stop();
  host.wrapping = {};
  host.start();
  return `${host.name}: the agent ended by itself ${host.starts - before - 2} times`;
}

/** Ends the agent at once, does something to its journal, and lets it start again. */
async function withJournal(host: Host, change: (file: string) => void): Promise<void> {
  host.signal('SIGKILL');
  await host.stop();
  change(host.journalFile);
  host.start();
}

export const disks: readonly LiveFault[] = [
  {
    ids: ['F16'],
    kind: 'live',
    isSmoke: true,
    title: 'Disk full under an agent’s journal',
    method: 'tmpfs of 4 MiB under the agent’s state, filled to the last byte in the middle of a run',
    invariant: 'I2, I11: what cannot be written down is not done; it recovers by itself',
    mayHarmHosts: true,
    inject: async ({ world, chance, say }) => {
      const host = world.anyHost(chance);
      const seen = await onSmallDisk(host, 'size=4m,mode=700', async (disk) => {
        await delay(3 * second);
        await world.beginRun();
        await delay(chance.between(100, 1500));
        say(`the disk of ${host.name} is full (${disk.fillBytes()} bytes were free)`);
        await delay(12 * second);
        disk.empty();
        const healedAtMs = Date.now();
        const servedAtMs = await world.served(healedAtMs, 60 * second);
        return `${host.name} answered ${((servedAtMs - healedAtMs) / second).toFixed(1)} s after there was room again`;
      });
      return { seen };
    },
  },
  {
    ids: ['F17'],
    kind: 'live',
    title: 'Inodes exhausted under an agent’s state',
    method: 'tmpfs with few inodes, all of them taken',
    invariant: 'I2, I11; it recovers by itself',
    mayHarmHosts: true,
    inject: async ({ world, chance }) => {
      const host = world.anyHost(chance);
      const seen = await onSmallDisk(host, 'size=16m,nr_inodes=2000,mode=700', async (disk) => {
        await delay(3 * second);
        const count = disk.fillInodes();
        await world.beginRun();
        await delay(12 * second);
        disk.empty();
        await world.served(Date.now(), 60 * second);
        return `${count} inodes were free`;
      });
      return { seen };
    },
  },
  {
    ids: ['F16'],
    kind: 'live',
    title: 'Disk full under PostgreSQL',
    method: 'its data on a tmpfs of 600 MiB, filled to the last byte for 15 s under load',
    invariant: 'I1, I2, I5: refused cleanly, no dispatch without audit, recovers by itself',
    mayHarmHosts: true,
    bend: databaseOn(`size=${600 * mib},mode=755`),
    inject: async (stage) => ({ seen: await fillDatabase(stage, (disk) => disk.fillBytes()) }),
  },
  {
    ids: ['F17'],
    kind: 'live',
    title: 'Inodes exhausted under PostgreSQL',
    method: 'its data on a tmpfs with 8,000 inodes, all of them taken for 15 s under load',
    invariant: 'I1, I2, I5; recovers by itself',
    mayHarmHosts: true,
    bend: databaseOn(`size=${600 * mib},nr_inodes=8000,mode=755`),
    inject: async (stage) => ({ seen: await fillDatabase(stage, (disk) => disk.fillInodes()) }),
  },
  {
    ids: ['F18'],
    kind: 'live',
    needs: ['fiu'],
    title: 'Writes fail on the agent: no space, input/output error',
    method:
      'libfiu under the agent’s process: one write in a hundred fails with ENOSPC, one in two hundred with EIO',
    invariant: 'I2, I11',
    mayHarmHosts: true,
    inject: async (stage) => {
      const at = (probability: number, failinfo: number) =>
        `enable_random name=posix/io/rw/write,probability=${probability},failinfo=${failinfo}`;
      return { seen: await failCalls(stage, [at(0.01, 28), at(0.005, 5)]) };
    },
  },
  {
    ids: ['F19'],
    kind: 'live',
    needs: ['fiu'],
    title: 'Flushes to the disk fail on the agent',
    method: 'libfiu under the agent’s process: one fsync and fdatasync in twenty fails',
    invariant: 'I2, I11: lost is lost, nothing is tried again and trusted',
    mayHarmHosts: true,
    inject: async (stage) => {
      const rules = ['fsync', 'fdatasync'].map(
        (name) => `enable_random name=posix/io/sync/${name},probability=0.05,failinfo=5`,
      );
      return { seen: await failCalls(stage, rules) };
    },
  },
  {
    ids: ['F20'],
    kind: 'live',
    title: 'Agent’s disk becomes read-only',
    method: 'mount -o remount,ro for 12 s in the middle of a run, then rw',
    invariant: 'I2, I11; it recovers by itself',
    mayHarmHosts: true,
    inject: async ({ world, chance }) => {
      const host = world.anyHost(chance);
      const seen = await onSmallDisk(host, 'size=16m,mode=700', async (disk) => {
        await delay(3 * second);
        await world.beginRun();
        await delay(chance.between(100, 1500));
        // A file that is open for writing keeps a file system from becoming read-only: as when a disk fails, its writer ends.
        host.signal('SIGKILL');
        await delay(300);
        disk.remount('ro');
        await delay(12 * second);
        disk.remount('rw');
        await world.served(Date.now(), 60 * second);
        return host.name;
      });
      return { seen };
    },
  },
  {
    ids: ['F21'],
    kind: 'live',
    isSmoke: true,
    title: 'Torn tail of the journal',
    method:
      'the agent is killed and the first bytes of a frame stand at the end of its journal, once for each length of chance',
    invariant: 'I2, I11: the tail is dropped, nothing else',
    mayHarmHosts: true,
    inject: async ({ world, chance, isSmoke }) => {
      const host = world.anyHost(chance);
      const rounds = isSmoke ? 1 : 8;
      for (let round = 0; round < rounds; round += 1) {
        await withJournal(host, (file) => {
          const { frames } = decodeJournal(readFileSync(file));
          const head = frames.at(-1)?.head ?? Buffer.alloc(32);
          const { bytes } = encodeFrame(Buffer.from(JSON.stringify({ t: 'acked', upTo: 0 })), head);
          appendFileSync(file, bytes.subarray(0, chance.between(1, bytes.length - 1)));
        });
        await delay(3 * second);
      }
      const isSaid = host.log().includes('journal.torn');
      return {
        seen: `${host.name}, ${rounds} times`,
        broken: isSaid ? [] : ['the agent did not say that it dropped a tail'],
      };
    },
  },
  {
    ids: ['F22'],
    kind: 'live',
    title: 'A bit of the journal has flipped',
    method: 'one bit of chance of an agent’s journal; the right file is put back after 10 s',
    invariant: 'I2, I11: the agent refuses to work on what it cannot trust',
    mayHarmHosts: true,
    inject: async ({ world, chance }) => {
      const host = world.anyHost(chance);
      const right = `${host.journalFile}.right`;
      await withJournal(host, (file) => {
        copyFileSync(file, right);
        const bytes = readFileSync(file);
        const bit = chance.between(0, bytes.length * 8 - 1);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        writeFileSync(file, bytes);
      });
      const starts = host.starts;
      await delay(10 * second);
      const broken =
        host.starts > starts ? [] : [`${host.name} works on a journal in which a bit has flipped`];
      await host.stop();
      copyFileSync(right, host.journalFile);
      host.start();
      return { broken, seen: `${host.name} refused ${host.starts - starts - 1} times` };
    },
  },
  {
    ids: ['F23'],
    kind: 'live',
    spoils: true,
    title: 'Journal replaced by an older copy of itself',
    method: 'the agent is killed and gets the journal it had some seconds before',
    invariant: 'I2: nothing that the lost part had done is done again, and the agent says what happened',
    mayHarmHosts: true,
    inject: async ({ world, chance }) => {
      const host = world.anyHost(chance);
      const old = `${host.journalFile}.old`;
      copyFileSync(host.journalFile, old);
      await world.beginRun();
      await delay(8 * second);
      await withJournal(host, (file) => copyFileSync(old, file));
      await world.until('the alarm of the host is in the log', 30 * second, async () => {
        const rows = await world.installation.query(
          `select 1 from audit_entries where action = 'agent.alarm'
             and convert_from(leaf, 'UTF8')::jsonb->'details'->>'code' = 'journal_went_back'`,
        );
        return rows.length > 0;
      });
      return { seen: `${host.name} raised journal_went_back`, forgetful: [host.name] };
    },
  },
];
