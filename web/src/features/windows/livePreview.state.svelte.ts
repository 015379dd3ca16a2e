import type { WindowPreview } from '#contract/windows.ts';
import { toApiError } from '../../problem.ts';
import type { ApiError } from '../../problem.ts';

/** Typing is not asked about letter by letter. */
const pauseMs = 300;

/** What the server makes of a rule while somebody writes it. */
export class LivePreview<Body> {
  value = $state.raw<WindowPreview | null>(null);
  error = $state.raw<ApiError | null>(null);
  loading = $state(false);
  readonly #ask: (body: Body, signal: AbortSignal) => Promise<WindowPreview>;

  constructor(ask: (body: Body, signal: AbortSignal) => Promise<WindowPreview>) {
    this.#ask = ask;
  }

  /** Asks soon; call it inside `$effect` and return its result, so that a later body replaces this one. */
  follow(body: Body): () => void {
    const abort = new AbortController();
    const timer = setTimeout(() => void this.#read(body, abort.signal), pauseMs);
    this.loading = true;
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }

  async #read(body: Body, signal: AbortSignal): Promise<void> {
    try {
      const value = await this.#ask(body, signal);
      if (signal.aborted) return;
      this.value = value;
      this.error = null;
    } catch (error) {
      if (signal.aborted) return;
      this.error = toApiError(error);
    } finally {
      if (!signal.aborted) this.loading = false;
    }
  }
}
