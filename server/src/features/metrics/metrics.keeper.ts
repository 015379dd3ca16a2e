import type { SystemTx } from '../../platform/db.ts';
import { Ticker } from '../../platform/ticker.ts';
import type { MetricsDeps } from './metrics.deps.ts';
import { packHour, type Day, type Hour } from './packing.policy.ts';
import * as repository from './packing.repository.ts';
import type { HostHour, HostKey } from './packing.repository.ts';
import { changesOf, hoursPerDay, minuteOf, minutesPerHour } from './rings.policy.ts';
import { addCells, emptyCell, rollUp, type Cell } from './tally.policy.ts';

const tickMs = 30_000;
/** An hour is packed this long after its end: what its last minute sent has arrived by then. */
const graceMinutes = 5;
const hostsPerBatch = 200;
const lateHoursPerBatch = 200;

const keyOf = ({ tenantId, hostId, hour }: HostHour): string => `${tenantId} ${hostId} ${hour}`;

/** What a day comes to: a cell for each hour of which there is something, and one for all. */
function rollUpDay(hours: ReadonlyMap<number, Hour>): { hours: Day; whole: Cell } {
  const cells = new Map([...hours].map(([hour, samples]) => [hour, rollUp(samples.values())]));
  const whole = [...cells.values()].reduce(addCells, emptyCell);
  return { hours: cells, whole };
}

/**
 * Packs hours that are over, rolls days up, and turns the rings of partitions. Several nodes may do so: the row of the
 * progress and the marks of late hours are locked by whoever works on them, and doing it twice changes nothing.
 */
export class MetricsKeeper {
  readonly #deps: MetricsDeps;
  readonly #ticker: Ticker;

  constructor(deps: MetricsDeps) {
    this.#deps = deps;
    this.#ticker = new Ticker(deps, {
      everyMs: tickMs,
      tick: () => this.tick(),
      complaint: 'measures were not packed; tried again soon',
    });
  }

  start(): void {
    this.#ticker.start();
  }

  async stop(): Promise<void> {
    await this.#ticker.stop();
  }

  /** Everything that is due now. */
  async tick(): Promise<void> {
    const { clock, db } = this.#deps;
    const presentHour = Math.floor(minuteOf(clock.now()) / minutesPerHour);
    await db.inSystem('metrics.begin', (tx) => repository.beginPacking(tx, presentHour));
    await this.#turnRings();
    let packed = 0;
    for (const step of [this.#packNext, this.#packLate]) {
      for (let more = true; more && !this.#ticker.stopping.aborted; packed += 1) more = await step();
    }
    // What was waited for may be given up now.
    if (packed > 2) await this.#turnRings();
  }

  async #turnRings(): Promise<void> {
    const { clock, db, log, retention } = this.#deps;
    const changed = await db.inSystem('metrics.turn', async (tx) => {
      if (!(await repository.lockSlots(tx))) return [];
      const unpackedDay = await repository.unpackedDay(tx);
      const open = await repository.listOpenSlots(tx);
      const changes = changesOf(open, { nowMs: clock.now(), retention, unpackedDay });
      for (const change of changes) await repository.changeSlot(tx, change);
      return changes;
    });
    const emptied = changed.filter(({ from }) => from !== null);
    if (emptied.length > 0) log.info({ emptied }, 'measures past their retention are gone');
  }

  /** The next hosts of the oldest hour that is not packed; false when there is nothing more to do now. */
  readonly #packNext = (): Promise<boolean> => {
    const { clock, db } = this.#deps;
    const now = minuteOf(clock.now());
    return db.inSystem('metrics.pack', async (tx) => {
      const progress = await repository.lockProgress(tx);
      if (progress === null) return false;
      const { packedUntil: hour, cursor } = progress;
      if (now < (hour + 1) * minutesPerHour + graceMinutes) return false;
      const day = Math.floor(hour / hoursPerDay);
      const open = await repository.firstOpenDay(tx, day);
      if (open > day) {
        await repository.saveProgress(tx, { packedUntil: open * hoursPerDay, cursor: null });
        return true;
      }
      const hosts = await repository.nextHosts(tx, cursor, hostsPerBatch);
      await this.#packHours(
        tx,
        hosts.map((host) => ({ ...host, hour })),
      );
      if (hour % hoursPerDay === hoursPerDay - 1) await this.#rollUpDay(tx, hosts, day);
      const isWhole = hosts.length < hostsPerBatch;
      await repository.saveProgress(
        tx,
        isWhole
          ? { packedUntil: hour + 1, cursor: null }
          : { packedUntil: hour, cursor: hosts.at(-1) ?? null },
      );
      return true;
    });
  };

  /** Hours that got a sample after they were over, and the days that they change. */
  readonly #packLate = (): Promise<boolean> =>
    this.#deps.db.inSystem('metrics.late', async (tx) => {
      const progress = await repository.lockProgress(tx);
      if (progress === null) return false;
      const hours = await repository.takeLateHours(tx, progress.packedUntil, lateHoursPerBatch);
      await this.#packHours(tx, hours);
      const present = Math.floor(progress.packedUntil / hoursPerDay);
      const byDay = Map.groupBy(hours, ({ hour }) => Math.floor(hour / hoursPerDay));
      for (const [day, late] of byDay) {
        const hosts = [...new Map(late.map((one) => [one.hostId, one])).values()];
        if (day < present) await this.#rollUpDay(tx, hosts, day);
      }
      return hours.length === lateHoursPerBatch;
    });

  async #packHours(tx: SystemTx, hours: readonly HostHour[]): Promise<void> {
    if (hours.length === 0) return;
    const found = await repository.findHours(tx, hours);
    const saved = found.map((one) => ({
      ...one,
      packed: packHour(new Map([...(one.packed ?? []), ...one.samples])),
    }));
    await repository.saveHours(tx, [...new Map(saved.map((one) => [keyOf(one), one])).values()]);
  }

  async #rollUpDay(tx: SystemTx, hosts: readonly HostKey[], day: number): Promise<void> {
    if (hosts.length === 0) return;
    const byHost = await repository.listDayHours(tx, hosts, day);
    const days = hosts.flatMap(({ tenantId, hostId }) => {
      const hours = byHost.get(hostId);
      return hours === undefined ? [] : [{ tenantId, hostId, day, ...rollUpDay(hours) }];
    });
    await repository.saveDays(tx, days);
  }
}
