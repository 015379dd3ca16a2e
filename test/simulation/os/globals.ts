import { loop, real } from './loop.ts';

/** A timer of the simulated world, as Node's own look to programs. */
class SimulatedTimer {
  readonly #cancel: () => void;

  constructor(cancel: () => void) {
    this.#cancel = cancel;
  }

  unref(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  hasRef(): boolean {
    return false;
  }

  close(): void {
    this.#cancel();
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}

type Callback = (...args: unknown[]) => void;

function setOnce(run: Callback, delayMs = 0, ...args: unknown[]): SimulatedTimer {
  const event = loop.after(Math.max(1, delayMs), () => run(...args));
  return new SimulatedTimer(() => {
    event.cancelled = true;
  });
}

function setRepeated(run: Callback, everyMs = 1, ...args: unknown[]): SimulatedTimer {
  let event = loop.after(Math.max(1, everyMs), tick);
  function tick(): void {
    event = loop.after(Math.max(1, everyMs), tick);
    run(...args);
  }
  return new SimulatedTimer(() => {
    event.cancelled = true;
  });
}

function setSoon(run: Callback, ...args: unknown[]): SimulatedTimer {
  const event = loop.after(0, () => run(...args));
  return new SimulatedTimer(() => {
    event.cancelled = true;
  });
}

function clear(timer: unknown): void {
  if (timer instanceof SimulatedTimer) timer.close();
}

class SimulatedDate extends real.Date {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(loop.localMs);
    else super(...(args as [number]));
  }

  static override now(): number {
    return Math.floor(loop.localMs);
  }
}

/** Puts the simulated world's time and chance in the place of the real ones, for everything in this process. */
export function replaceGlobals(): void {
  Object.assign(globalThis, {
    Date: SimulatedDate,
    setTimeout: setOnce,
    setInterval: setRepeated,
    setImmediate: setSoon,
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
  });
  Math.random = () => loop.chance.fraction();
  performance.now = () => loop.nowMs;
  AbortSignal.timeout = (ms: number) => {
    const controller = new AbortController();
    loop.after(ms, () => controller.abort(new DOMException('timed out', 'TimeoutError')));
    return controller.signal;
  };
}
