import type { Clock } from './clock.ts';
import type { Logger } from './log.ts';

/** What is done again and again. */
export interface Turns {
  /** Pause between the end of one turn and the beginning of the next, in milliseconds. */
  readonly everyMs: number;
  /** One turn. What it throws is written to the log and ends nothing: the next turn tries again. */
  readonly tick: () => Promise<void>;
  /** What the log says of a turn that failed. */
  readonly complaint: string;
}

/** Takes turns from its start until it is stopped, never two at once. */
export class Ticker {
  /** Fires when no further turn is wanted: a long one looks at it between its steps. */
  readonly stopping: AbortSignal;
  readonly #deps: { readonly clock: Clock; readonly log: Logger };
  readonly #turns: Turns;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(deps: { readonly clock: Clock; readonly log: Logger }, turns: Turns) {
    this.#deps = deps;
    this.#turns = turns;
    this.stopping = this.#stop.signal;
  }

  /** A second start changes nothing. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Resolves when the turn that was under way has ended; there is none after it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    while (!this.stopping.aborted) {
      try {
        await this.#turns.tick();
      } catch (error) {
        log.warn({ err: error }, this.#turns.complaint);
      }
      await clock.sleep(this.#turns.everyMs, this.stopping);
    }
  }
}
