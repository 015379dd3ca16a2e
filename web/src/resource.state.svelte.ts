import { live } from './live.state.svelte.ts';
import type { LiveEventType } from './live.state.svelte.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import { toApiError } from './problem.ts';
import type { ApiError } from './problem.ts';

/** At most one reading in this time, however many events arrive. */
const coalesceMs = 250;

/** Something read from the server, with its state: nothing yet, there, or failed (the old value stays visible). */
export class Resource<T> {
  value = $state.raw<T | undefined>();
  error = $state.raw<ApiError | null>(null);
  loading = $state(true);
  readonly #read: (signal: AbortSignal) => Promise<T>;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #again = false;

  constructor(read: (signal: AbortSignal) => Promise<T>) {
    this.#read = read;
  }

  /** Reads now; an earlier reading that still flies is dropped. */
  async reload(): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.loading = true;
    try {
      const value = await this.#read(abort.signal);
      if (abort !== this.#abort) return;
      this.value = value;
      this.error = null;
    } catch (error) {
      if (abort !== this.#abort || abort.signal.aborted) return;
      this.error = toApiError(error);
    } finally {
      if (abort === this.#abort) this.#settle();
    }
  }

  /** Reads soon: many calls make one reading, and never one on top of another. */
  refresh(): void {
    if (this.loading) {
      this.#again = true;
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.reload();
    }, coalesceMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#abort?.abort();
    this.#abort = null;
  }

  #settle(): void {
    this.loading = false;
    this.#abort = null;
    if (!this.#again) return;
    this.#again = false;
    this.refresh();
  }
}

interface Watch {
  readonly types: readonly LiveEventType[];
  /** Only events for which this holds; all of these types when absent. */
  readonly about?: (event: LiveEvent) => boolean;
}

/** Keeps a resource fresh while a component is there; call it inside `$effect` and return its result. */
export function keepFresh(resource: Resource<unknown>, watch: Watch): () => void {
  void resource.reload();
  const leave = live.on((event) => {
    if (watch.types.includes(event.type) && (watch.about?.(event) ?? true)) resource.refresh();
  });
  return () => {
    leave();
    resource.stop();
  };
}
