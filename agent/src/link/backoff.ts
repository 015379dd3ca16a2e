/** How reconnection is spaced. Times in milliseconds. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly capMs: number;
  readonly random: () => number;
}

/**
 * Full jitter: a random wait up to an exponentially growing cap, so that a fleet does not come back in one wave.
 * A delay that the server asks for is kept, with jitter on top of it and never below.
 */
export class Backoff {
  #attempt = 0;
  readonly #options: BackoffOptions;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  next(askedMs: number | null): number {
    const ceiling = Math.min(this.#options.capMs, this.#options.firstMs * 2 ** Math.min(this.#attempt, 20));
    this.#attempt += 1;
    const jitter = this.#options.random() * ceiling;
    return Math.round(askedMs === null ? jitter : askedMs + jitter);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
