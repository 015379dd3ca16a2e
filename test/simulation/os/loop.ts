import { AsyncLocalStorage } from 'node:async_hooks';
import { Chance } from './random.ts';

/** One program of the simulated world. When it dies, nothing of it happens any more: no timer, no answer, no line of code. */
export interface Program {
  readonly name: string;
  /** Where it runs; two programs of one machine share its disk and its clock. */
  readonly machine: Machine;
  alive: boolean;
  /** Called at its death, in no order. */
  readonly atDeath: (() => void)[];
}

/** A machine: a clock that may be wrong, and whatever else the world hangs on it. */
export interface Machine {
  readonly name: string;
  skewMs: number;
}

/** What the real system gives; taken before anything is replaced. */
export const real = {
  Date,
  setImmediate,
  setTimeout,
  clearTimeout,
  random: Math.random.bind(Math),
  performanceNow: performance.now.bind(performance),
};

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly program: Program | undefined;
  readonly run: () => void;
  cancelled: boolean;
}

const running = new AsyncLocalStorage<Program>();

/** A promise of an answer that a dead program does not get. */
export const never = (): Promise<never> => new Promise(() => undefined);

/** Time, and the order in which things happen. Nothing moves but by an event of this loop, so a seed is a history. */
class Loop {
  nowMs = 0;
  chance = new Chance(0);
  events = 0;
  #order = 0;
  #heap: Event[] = [];
  #outside = 0;
  #queue: Promise<void> = Promise.resolve();
  #quiet: (() => void)[] = [];

  reset(startMs: number, seed: number): void {
    this.nowMs = startMs;
    this.chance = new Chance(seed);
    this.events = 0;
    this.#heap = [];
  }

  get program(): Program | undefined {
    return running.getStore();
  }

  /** What the calling program's clock shows. */
  get localMs(): number {
    return this.nowMs + (this.program?.machine.skewMs ?? 0);
  }

  runAs<T>(program: Program, run: () => T): T {
    return running.run(program, run);
  }

  /** Calls `run` in this time in the calling program, unless that has died by then; null is for what no program does. */
  after(delayMs: number, run: () => void, program: Program | null | undefined = this.program): Event {
    const event = {
      atMs: this.nowMs + Math.max(0, delayMs),
      order: (this.#order += 1),
      ...{ program: program ?? undefined, run, cancelled: false },
    };
    this.#push(event);
    return event;
  }

  /** Resolves in this time; never in a program that has died. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /**
   * Waits for something outside of the simulated world (the database's answer): no time passes meanwhile. One at a time,
   * in the order of asking: two answers under way would come in an order that no seed decides.
   */
  async outside<T>(work: () => Promise<T>): Promise<T> {
    const { program } = this;
    const before = this.#queue;
    let leave: () => void = () => undefined;
    this.#queue = new Promise((resolve) => {
      leave = resolve;
    });
    this.#outside += 1;
    try {
      await before;
      return await work();
    } finally {
      leave();
      this.#outside -= 1;
      if (this.#outside === 0) for (const tell of this.#quiet.splice(0)) tell();
      if (program !== undefined && !program.alive) await never();
    }
  }

  /** Until nobody has anything to do before time passes. */
  async settle(): Promise<void> {
    do {
      await new Promise<void>((resolve) => real.setImmediate(resolve));
      if (this.#outside > 0) await new Promise<void>((resolve) => this.#quiet.push(resolve));
      else return;
    } while (true);
  }

  /** Lets the world live until the condition holds or the instant is reached. Returns whether it holds. */
  async live(untilMs: number, isDone: () => boolean = () => false): Promise<boolean> {
    await this.settle();
    while (!isDone()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs);
        return isDone();
      }
      this.#pop();
      if (next.cancelled || next.program?.alive === false) continue;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.events += 1;
      if (next.program === undefined) next.run();
      else running.run(next.program, next.run);
      await this.settle();
    }
    return true;
  }

  /** Lets the world live until the promise is settled, whatever time that takes in it. */
  async until<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    let over = false;
    const end = () => {
      over = true;
    };
    promise.then(end, end);
    const came = await this.live(this.nowMs + limitMs, () => over);
    if (!came) throw new Error('the simulated world waits for something that does not come');
    return promise;
  }

  kill(program: Program): void {
    if (!program.alive) return;
    program.alive = false;
    for (const act of program.atDeath.splice(0)) act();
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || !before(event, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      if (right !== undefined && before(right, left)) child += 1;
      const least = heap[child];
      if (least === undefined || !before(least, last)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
  }
}

function before(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

export const loop = new Loop();
