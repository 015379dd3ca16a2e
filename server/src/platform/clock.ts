/** Where time comes from: handed over, so that tests can say what time it is. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Waits; resolves early and quietly when the signal fires. */
  readonly sleep: (durationMs: number, signal?: AbortSignal) => Promise<void>;
}

function sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, durationMs);
    signal?.addEventListener('abort', end, { once: true });
  });
}

export const systemClock: Clock = { now: () => Date.now(), sleep };

/** The instant as the contract writes it: UTC with milliseconds (RFC 3339). */
export function toInstant(at: Date | number): string {
  return (typeof at === 'number' ? new Date(at) : at).toISOString();
}
