import { setTimeout as sleep } from 'node:timers/promises';
import { readTail } from './files.ts';
import { logFileOf } from './logFile.ts';
import type { OwnProcess } from './ownProcess.ts';
import { startProcess } from './running.ts';
import type { Running } from './running.ts';
import { StackError } from './text.ts';
import type { Service, Unit, UnitStatus, Work } from './unit.ts';

export type Statuses = Record<string, UnitStatus>;

export type SupervisorOptions = {
  stateDir: string;
  units: Unit[];
  /** Told at every change of a unit. */
  onStatus?: (statuses: Statuses) => void;
  /** Told when the set of our processes changes, so that it can be written down before anything else happens. */
  onProcesses?: (processes: Record<string, OwnProcess>) => void;
};

const readyPollMs = 50;
const firstBackoffMs = 500;
const maxBackoffMs = 30_000;

/**
 * Starts units as soon as what they need is ready, restarts a service that ends by itself, stops all in reverse order.
 * A unit that fails during the start fails the whole start; its dependants are never begun.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #statuses: Statuses = {};
  readonly #running = new Map<string, Running>();
  readonly #startedAtMs = performance.now();
  readonly #abort = new AbortController();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    for (const unit of options.units) this.#statuses[unit.name] = { state: 'waiting', restarts: 0 };
  }

  /** Resolves when every unit is ready. @throws StackError of the first unit that failed; the rest is told to give up. */
  async start(): Promise<void> {
    const begun = new Map<string, Promise<void>>();
    const begin = (unit: Unit): Promise<void> => {
      const known = begun.get(unit.name);
      if (known !== undefined) return known;
      const needs = this.#options.units.filter((other) => unit.after.includes(other.name));
      const started = Promise.all(needs.map(begin)).then(() => this.#bringUp(unit));
      begun.set(unit.name, started);
      return started;
    };
    const all = this.#options.units.map(begin);
    try {
      await Promise.all(all);
    } catch (error) {
      this.#abort.abort();
      await Promise.allSettled(all);
      throw error;
    }
  }

  /** Stops every service, dependants first. Safe to call twice and during a start. */
  async stop(): Promise<void> {
    this.#abort.abort();
    const waiting = new Set(this.#running.keys());
    while (waiting.size > 0) {
      const free = [...waiting].filter(
        (name) => !this.#options.units.some((u) => waiting.has(u.name) && u.after.includes(name)),
      );
      await Promise.all(free.map((name) => this.#stopOne(name)));
      for (const name of free) waiting.delete(name);
    }
  }

  async #stopOne(name: string): Promise<void> {
    await this.#running.get(name)?.stop();
    this.#running.delete(name);
    this.#set(name, { state: 'stopped' });
    this.#tellProcesses();
  }

  async #bringUp(unit: Unit): Promise<void> {
    if (this.#abort.signal.aborted) return;
    try {
      const work: Work = { report: (text) => this.#set(unit.name, { text }), signal: this.#abort.signal };
      if (unit.kind === 'task') {
        this.#set(unit.name, { state: 'preparing' });
        await unit.run(work);
      } else {
        this.#set(unit.name, { state: 'preparing' });
        await unit.prepare?.(work);
        await this.#launch(unit);
        await unit.afterReady?.(work);
      }
      this.#set(unit.name, {
        state: 'ready',
        readyAfterMs: Math.round(performance.now() - this.#startedAtMs),
      });
    } catch (error) {
      throw this.#fail(unit.name, error);
    }
  }

  #fail(name: string, error: unknown): StackError {
    const reason = error instanceof StackError ? error.text : undefined;
    const message = error instanceof Error ? error.message : String(error);
    const text = [
      `${name} n’a pas démarré : ${reason?.[0] ?? message}`,
      `${name} did not start: ${reason?.[1] ?? message}`,
    ] as const;
    // What another unit's failure cut short has not failed itself.
    this.#set(name, this.#abort.signal.aborted ? { state: 'stopped' } : { state: 'failed', text });
    const known = error instanceof StackError ? error.detail : '';
    return new StackError(text, {
      detail: known || readTail(logFileOf(this.#options.stateDir, name), 20),
      cause: error,
    });
  }

  async #launch(service: Service): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#set(service.name, { state: 'starting' });
    const running = await startProcess(this.#options.stateDir, service);
    // Stopped in the meantime: whoever stops has not seen this process.
    if (this.#abort.signal.aborted) return running.stop();
    this.#running.set(service.name, running);
    this.#set(service.name, { pid: running.own.pid });
    this.#tellProcesses();
    const deadline = performance.now() + service.readyTimeoutMs;
    while (!(await service.isReady())) {
      if (this.#abort.signal.aborted) return;
      if (running.hasEnded()) throw new Error(await running.ended);
      if (performance.now() > deadline) throw new Error(`not ready after ${service.readyTimeoutMs / 1000} s`);
      await sleep(readyPollMs);
    }
    void running.ended.then((why) => this.#restart(service, why));
  }

  /** Brings a service back for as long as it takes; each try waits longer, and a success starts the count again. */
  async #restart(service: Service, why: string): Promise<void> {
    let backoffMs = firstBackoffMs;
    let reason = why;
    while (!this.#abort.signal.aborted) {
      const restarts = (this.#statuses[service.name]?.restarts ?? 0) + 1;
      const text = [`arrêté (${reason}) ; relancé`, `ended (${reason}); starting again`] as const;
      this.#set(service.name, { state: 'restarting', text, restarts });
      await sleep(backoffMs);
      try {
        await this.#launch(service);
        if (!this.#abort.signal.aborted) this.#set(service.name, { state: 'ready' });
        return;
      } catch (error) {
        // The half-started process must not hold the port against its successor.
        await this.#running.get(service.name)?.stop();
        reason = error instanceof Error ? error.message : String(error);
        backoffMs = Math.min(backoffMs * 2, maxBackoffMs);
      }
    }
  }

  #set(name: string, change: Partial<UnitStatus>): void {
    const status = { ...(this.#statuses[name] ?? { state: 'waiting', restarts: 0 }), ...change };
    if (change.state === 'ready') delete status.text;
    this.#statuses[name] = status;
    this.#options.onStatus?.(this.#statuses);
  }

  #tellProcesses(): void {
    const processes = [...this.#running].map(([name, running]) => [name, running.own] as const);
    this.#options.onProcesses?.(Object.fromEntries(processes));
  }
}
