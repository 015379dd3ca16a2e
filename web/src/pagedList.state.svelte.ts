import { live } from './live.state.svelte.ts';
import type { LiveEventType } from './live.state.svelte.ts';
import { toApiError } from './problem.ts';
import type { ApiError } from './problem.ts';

interface PageOf<T> {
  readonly items: T[];
  readonly nextCursor: string | null;
  readonly total: number | null;
}

const coalesceMs = 500;

/** A list read page by page (keyset): the first at once, the next when asked for. */
export class PagedList<T> {
  items = $state.raw<readonly T[]>([]);
  total = $state<number | null>(null);
  loading = $state(true);
  error = $state.raw<ApiError | null>(null);
  nextCursor = $state<string | null>(null);
  readonly #read: (cursor: string | null, signal: AbortSignal) => Promise<PageOf<T>>;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(read: (cursor: string | null, signal: AbortSignal) => Promise<PageOf<T>>) {
    this.#read = read;
  }

  /** Reads the first page again. */
  async reload(): Promise<void> {
    await this.#fetch(null);
  }

  async more(): Promise<void> {
    if (this.nextCursor !== null && !this.loading) await this.#fetch(this.nextCursor);
  }

  /** Reads the first page soon; a reader who has paged further keeps the list as it is. */
  refresh(pageSize = 50): void {
    if (this.items.length > pageSize) return;
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

  async #fetch(cursor: string | null): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.loading = true;
    try {
      const page = await this.#read(cursor, abort.signal);
      if (abort !== this.#abort) return;
      this.items = cursor === null ? page.items : [...this.items, ...page.items];
      this.nextCursor = page.nextCursor;
      this.total = page.total;
      this.error = null;
    } catch (error) {
      if (abort === this.#abort && !abort.signal.aborted) this.error = toApiError(error);
    } finally {
      if (abort === this.#abort) this.loading = false;
    }
  }
}

/** Keeps a list's first page fresh while a component is there; call it inside `$effect` and return its result. */
export function keepListFresh(list: PagedList<unknown>, types: readonly LiveEventType[]): () => void {
  void list.reload();
  const leave = live.on((event) => {
    if (types.includes(event.type)) list.refresh();
  });
  return () => {
    leave();
    list.stop();
  };
}
