import { setTimeout as delay } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import { readAnswers } from './answers.ts';
import { Host, type Wrapping } from './hosts.ts';
import { Installation, type Bend } from './installation.ts';
import { judge, lostResults, type JudgeOptions, type Judgement } from './judge.ts';
import { Load } from './load.ts';
import { People, Refused } from './people.ts';
import { installedVersion } from './recordingPackages.ts';

const hostCount = 3;
const pollMs = 250;

/** What is bent before anything starts. */
export interface WorldBend extends Bend {
  /** Front of the command line of every agent. */
  readonly wrapHosts?: Wrapping;
}

/** A running installation, its people, its hosts and a steady load: what faults are let loose on. */
export class FaultWorld {
  readonly installation: Installation;
  readonly people: People;
  readonly hosts: readonly Host[];
  readonly load: Load;
  /** Runs that two people released, in order. */
  readonly runIds: string[] = [];

  private constructor(parts: { installation: Installation; people: People; hosts: readonly Host[] }) {
    this.installation = parts.installation;
    this.people = parts.people;
    this.hosts = parts.hosts;
    this.load = new Load(parts.people, parts.hosts);
  }

  static async open(bend: WorldBend = {}): Promise<FaultWorld> {
    const installation = await Installation.start(bend);
    const names = Array.from({ length: hostCount }, (_, index) => `host-${index + 1}`);
    const hosts = names.map((name) => new Host(installation.stateDir, name));
    let people: People | undefined;
    try {
      people = await People.settle(installation);
      for (const host of hosts) {
        await host.enrol(await people.enrolmentToken());
        await people.leaveServicesAlone(host.hostId);
        host.wrapping = bend.wrapHosts ?? {};
        host.start();
      }
      const world = new FaultWorld({ installation, people, hosts });
      await world.inventories();
      world.load.start();
      return world;
    } catch (error) {
      for (const host of hosts) await host.stop();
      people?.leave();
      await installation.stop();
      throw error;
    }
  }

  /** Ends everything; what cannot be ended properly does not keep the rest from ending. */
  async close(): Promise<void> {
    const faults: unknown[] = [];
    const steps = [
      () => this.load.stop(),
      ...this.hosts.map((host) => () => host.stop()),
      () => Promise.resolve(this.people.leave()),
      () => this.installation.stop(),
    ];
    for (const step of steps) await step().catch((error: unknown) => faults.push(error));
    if (faults.length > 0) throw new AggregateError(faults, 'the installation did not end properly');
  }

  host(index: number): Host {
    const host = this.hosts[index];
    if (host === undefined) throw new Error(`there is no host ${index}`);
    return host;
  }

  /** One of the hosts, by chance. */
  anyHost(chance: Chance): Host {
    return chance.pick(this.hosts);
  }

  /** Releases the pending update of every host and returns the run's id; null when the service refused, which it may. */
  async beginRun(): Promise<string | null> {
    try {
      const runId = await this.people.release(this.hosts.map(({ hostId }) => hostId));
      this.runIds.push(runId);
      return runId;
    } catch (error) {
      if (error instanceof Refused) return null;
      throw error;
    }
  }

  /** Waits until the server knows what every host needs now. */
  async inventories(limitMs = 60_000): Promise<void> {
    await this.until('the server knows what every host needs now', limitMs, async () => {
      const rows = await this.installation.query<{ hostId: string; version: string }>(
        `select host_id as "hostId", inventory->'updates'->0->>'fromVersion' as version from host_facts`,
      );
      const versions = await Promise.all(this.hosts.map((host) => installedVersion(host.directory)));
      return this.hosts.every(({ hostId }, index) =>
        rows.some((row) => row.hostId === hostId && row.version === versions[index]),
      );
    });
  }

  /** Waits until something is so. Throws with its name when it is not in time. */
  async until(what: string, limitMs: number, isSo: () => Promise<boolean>): Promise<void> {
    const untilMs = Date.now() + limitMs;
    let last: unknown;
    for (;;) {
      try {
        if (await isSo()) return;
      } catch (error) {
        last = error;
      }
      if (Date.now() > untilMs) throw new Error(`not within ${limitMs / 1000} s: ${what}`, { cause: last });
      await delay(pollMs);
    }
  }

  /** The service is back: for each host a command that was asked for after `sinceMs` has been answered. @returns when, ms. */
  async served(sinceMs: number, limitMs: number): Promise<number> {
    await this.until('each host has answered a new command', limitMs, async () => {
      const fresh = this.load.acknowledged.filter(({ askedAtMs }) => askedAtMs >= sinceMs);
      const answered = new Set((await readAnswers(this.installation)).map(({ commandId }) => commandId));
      const rows = new Set(
        fresh.filter(({ commandId }) => answered.has(commandId)).map(({ hostId }) => hostId),
      );
      return rows.size === this.hosts.length;
    });
    return Date.now();
  }

  /** Stops the load and waits until nothing is left to happen. */
  async rest(limitMs: number): Promise<void> {
    await this.load.stop();
    await this.until('every acknowledged command is answered and every run has ended', limitMs, async () => {
      const [row] = await this.installation.query<{
        runs: number;

        outbox: number;
        unsealed: number;
      }>(
        `select (select count(*)::int from runs where state in ('scheduled', 'running', 'stopping')) as runs,
           (select count(*)::int from outbox) as outbox,
           (select count(*)::int from audit_entries e
              where not exists (select 1 from audit_leaves l where l.entry_id = e.entry_id)) as unsealed`,
      );
      const answered = new Set((await readAnswers(this.installation)).map(({ commandId }) => commandId));
      const isAnswered = this.load.acknowledged.every(({ commandId }) => answered.has(commandId));
      return row?.runs === 0 && isAnswered && row.outbox === 0 && row.unsealed === 0;
    });
  }

  /** Results that hosts have signed and the server does not hold. */
  gaps(): Promise<string[]> {
    return lostResults(this);
  }

  judge(options: JudgeOptions): Promise<Judgement> {
    return judge(this, options);
  }
}
