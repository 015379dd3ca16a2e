import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LiveFault } from './fault.ts';
import { findTimeLibrary } from './machine.ts';
import type { WorldBend } from './world.ts';

const second = 1000;

/** Environment in which a process reads its time through a file that says by how much it is wrong. */
function wrongTime(file: string): Record<string, string> {
  writeFileSync(file, '+0\n');
  return {
    LD_PRELOAD: findTimeLibrary() ?? '',
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    // Clocks that only measure durations stay right, as they do when somebody sets the clock of a real machine.
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}

let serverClock = '';

/** An installation whose server reads its time through a file. */
function serverWithClock(): Promise<WorldBend> {
  serverClock = path.join('/tmp', `atlas-faults-clock-${process.pid}`);
  return Promise.resolve({ serverEnvironment: wrongTime(serverClock) });
}

export const clocks: readonly LiveFault[] = [
  {
    ids: ['F32'],
    kind: 'live',
    needs: ['faketime'],
    title: 'Clocks of hosts jump: three hours ahead, two hours back, a year ahead',
    method: 'libfaketime under the agents, one jump a host after the other, orders and readings under way',
    invariant: 'I4: nothing outside its window; the agent says that clocks differ',
    mayHarmHosts: true,
    recoverWithinMs: 180_000,
    inject: async ({ world, say }) => {
      const files = world.hosts.map((host) => path.join(host.directory, 'clock'));
      for (const [index, host] of world.hosts.entries()) {
        await host.stop();
        host.wrapping = { environment: wrongTime(files[index] ?? '') };
        host.start();
      }
      await world.served(Date.now(), 60 * second);
      for (const [index, jump] of ['+3h', '-2h', '+1y'].entries()) {
        say(`the clock of host-${index + 1} jumps by ${jump}`);
        writeFileSync(files[index] ?? '', `${jump}\n`);
      }
      world.installation.agentsDoor.reset();
      await world.beginRun();
      await delay(25 * second);
      for (const file of files) writeFileSync(file, '+0\n');
      const rows = await world.installation.query<{ n: number }>(
        `select count(distinct subject_id)::int as n from audit_entries where action = 'agent.alarm'
           and convert_from(leaf, 'UTF8')::jsonb->'details'->>'code' = 'clock_skew'`,
      );
      const told = rows[0]?.n ?? 0;
      for (const host of world.hosts) {
        await host.stop();
        host.wrapping = {};
        host.start();
      }
      const broken = told >= 1 ? [] : ['no host said that its clock differs'];
      return {
        seen: `${told} said so; a host that is far off finds no valid certificate until its clock is right`,
        broken,
      };
    },
  },
  {
    ids: ['F32'],
    kind: 'live',
    needs: ['faketime'],
    title: 'The server’s clock jumps: three hours ahead, back, two hours back, right again',
    method: 'libfaketime under the server, 10 s each, orders and readings under way',
    invariant: 'I1, I2, I5: nothing vanishes and the log stays in order',
    mayHarmHosts: true,
    bend: serverWithClock,
    inject: async ({ world, say }) => {
      await world.beginRun();
      for (const jump of ['+3h', '+0', '-2h', '+0']) {
        say(`the clock of the server is ${jump}`);
        writeFileSync(serverClock, `${jump}\n`);
        await delay(10 * second);
      }
      return { seen: '+3 h, right, −2 h, right' };
    },
  },
  {
    ids: ['F34'],
    kind: 'live',
    needs: ['timeNamespace'],
    title: 'Monotonic and boot clocks of hosts are ten days ahead after a restart of the agent',
    method: 'the agents start again in a time namespace',
    invariant: 'I1, I2: leases and time-outs are right',
    mayHarmHosts: true,
    inject: async ({ world }) => {
      const days = String(10 * 86_400);
      const line = [
        'unshare',
        '--time',
        '--fork',
        '--kill-child',
        '--monotonic',
        days,
        '--boottime',
        days,
        '--',
      ];
      for (const host of world.hosts) {
        await host.stop();
        host.wrapping = { line };
        host.start();
      }
      await world.served(Date.now(), 60 * second);
      await world.beginRun();
      await delay(10 * second);
      for (const host of world.hosts) {
        await host.stop();
        host.wrapping = {};
        host.start();
      }
      return { seen: 'ten days' };
    },
  },
];
