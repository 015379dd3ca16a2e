import type { LiveEvent } from '#contract/tenants.ts';
import { call } from '../../api.ts';
import type { CallOutput } from '../../api.ts';
import { live } from '../../live.state.svelte.ts';
import { toApiError } from '../../problem.ts';
import type { ApiError } from '../../problem.ts';

export type LogLine = CallOutput<'listHostRunLog'>['items'][number];

const keepLines = 5000;
const coalesceMs = 200;

/** What one host says, appended as it comes; a pause holds the view while lines go on arriving behind it. */
export class LogTail {
  lines = $state.raw<readonly LogLine[]>([]);
  paused = $state(false);
  error = $state.raw<ApiError | null>(null);
  /** Lines that arrived during the pause. */
  held = $state.raw<readonly LogLine[]>([]);
  readonly #tenantId: string;
  readonly #hostRunId: string;
  #lastSeq = 0;
  #reading = false;
  #again = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #leave: () => void = () => undefined;

  constructor(tenantId: string, hostRunId: string) {
    this.#tenantId = tenantId;
    this.#hostRunId = hostRunId;
  }

  start(): () => void {
    this.#leave = live.on((event) => this.#hear(event));
    void this.#read();
    return () => this.#stop();
  }

  resume(): void {
    this.paused = false;
    this.lines = [...this.lines, ...this.held].slice(-keepLines);
    this.held = [];
  }

  #stop(): void {
    this.#leave();
    clearTimeout(this.#timer);
  }

  #hear(event: LiveEvent): void {
    if (event.type !== 'hostRun.log' && event.type !== 'hostRun.changed') return;
    if (event.subjectId !== this.#hostRunId) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#read();
    }, coalesceMs);
  }

  async #read(): Promise<void> {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    try {
      let fresh: readonly LogLine[];
      do {
        fresh = await this.#fetch();
        this.#take(fresh);
      } while (fresh.length === 1000);
      this.error = null;
    } catch (error) {
      this.error = toApiError(error);
    } finally {
      this.#reading = false;
      if (this.#again) {
        this.#again = false;
        void this.#read();
      }
    }
  }

  async #fetch(): Promise<readonly LogLine[]> {
    const page = await call('listHostRunLog', {
      params: { tenantId: this.#tenantId, hostRunId: this.#hostRunId },
      query: { after: this.#lastSeq, limit: 1000 },
    });
    return page.items.filter((line) => line.seq > this.#lastSeq);
  }

  #take(fresh: readonly LogLine[]): void {
    const last = fresh.at(-1);
    if (last === undefined) return;
    this.#lastSeq = last.seq;
    if (this.paused) this.held = [...this.held, ...fresh].slice(-keepLines);
    else this.lines = [...this.lines, ...fresh].slice(-keepLines);
  }
}
