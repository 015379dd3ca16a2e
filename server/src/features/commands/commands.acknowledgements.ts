/** Milliseconds that an acknowledgement may wait for a frame to travel with. An agent keeps its results until then. */
const waitMs = 1_000;

/**
 * Tells agents up to where their results are durable: with the next commands that they get, or a moment later.
 * An acknowledgement replaces those before it, so that a busy agent gets one where it would have got many.
 */
export class Acknowledgements {
  readonly #send: (agentId: string, upTo: number) => void;
  readonly #waiting = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (agentId: string, upTo: number) => void) {
    this.#send = send;
  }

  /** What is durable now; called only after the commit. */
  add(agentId: string, upTo: number): void {
    this.#waiting.set(agentId, upTo);
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.flush(), waitMs);
    this.#timer.unref();
  }

  /** Says it now, when something waits for this agent. */
  sendTo(agentId: string): void {
    const upTo = this.#waiting.get(agentId);
    if (upTo === undefined) return;
    this.#waiting.delete(agentId);
    this.#send(agentId, upTo);
  }

  /** The connection has ended: the next one begins with what is held. */
  forget(agentId: string): void {
    this.#waiting.delete(agentId);
  }

  /** Says all that waits. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const agentId of [...this.#waiting.keys()]) this.sendTo(agentId);
  }
}
