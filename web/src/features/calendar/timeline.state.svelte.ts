import type { Timeline, TimelineLane } from '#contract/calendar.ts';
import { call } from '../../api.ts';
import { live } from '../../live.state.svelte.ts';
import { toApiError, type ApiError } from '../../problem.ts';

interface Asked {
  readonly tenantId: string;
  readonly by: 'group' | 'site' | 'host';
  readonly from: string;
  readonly to: string;
}

/** The hosts of a lane, as far as they were read. */
export interface Unfolded {
  readonly lanes: readonly TimelineLane[];
  readonly nextCursor: string | null;
}

const pageSize = 50;
const coalesceMs = 500;
export const laneKey = ({ kind, id }: TimelineLane): string => `${kind} ${id ?? 'none'}`;

/** A timeline, its lanes read a page at a time, and the hosts of the lanes that were unfolded. */
export class TimelineList {
  value = $state.raw<Timeline | null>(null);
  error = $state.raw<ApiError | null>(null);
  loading = $state(true);
  unfolded = $state.raw<Readonly<Record<string, Unfolded>>>({});
  #asked: Asked | null = null;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Reads what is asked for now; other lanes than before are folded again. */
  async read(asked: Asked): Promise<void> {
    if (this.#asked?.by !== asked.by) this.unfolded = {};
    this.#asked = asked;
    await this.reload();
  }

  /** Reads the first page again, and the first hosts of every lane that is unfolded. */
  async reload(): Promise<void> {
    await this.#during(async (signal) => {
      const value = await this.#page({ signal });
      if (value === null) return;
      const open = value.lanes.filter((lane) => laneKey(lane) in this.unfolded);
      const hosts = await Promise.all(open.map((lane) => this.#page({ signal, lane })));
      if (signal.aborted) return;
      this.value = value;
      this.unfolded = Object.fromEntries(
        open.flatMap((lane, n) => {
          const page = hosts[n];
          return page === null || page === undefined ? [] : [[laneKey(lane), page]];
        }),
      );
    });
  }

  /** The next page of lanes. */
  async more(): Promise<void> {
    const before = this.value;
    if (before === null || before.nextCursor === null || this.loading) return;
    await this.#during(async (signal) => {
      const next = await this.#page({ signal, cursor: before.nextCursor });
      if (next !== null && !signal.aborted) this.value = { ...next, lanes: [...before.lanes, ...next.lanes] };
    });
  }

  /** Shows the hosts of a lane, or the next of them. */
  async unfold(lane: TimelineLane): Promise<void> {
    const before = this.unfolded[laneKey(lane)];
    if (this.loading || before?.nextCursor === null) return;
    await this.#during(async (signal) => {
      const next = await this.#page({ signal, lane, cursor: before?.nextCursor ?? null });
      if (next === null || signal.aborted) return;
      const lanes = [...(before?.lanes ?? []), ...next.lanes];
      this.unfolded = { ...this.unfolded, [laneKey(lane)]: { lanes, nextCursor: next.nextCursor } };
    });
  }

  fold(lane: TimelineLane): void {
    this.unfolded = Object.fromEntries(
      Object.entries(this.unfolded).filter(([key]) => key !== laneKey(lane)),
    );
  }

  /** Reads again, soon, when work changes; a reader who has paged further keeps what he has. Returns how to leave. */
  keepFresh(): () => void {
    const leave = live.on(({ type }) => {
      if (type !== 'plan.changed' && type !== 'run.changed' && type !== 'release.changed') return;
      if ((this.value?.lanes.length ?? 0) > pageSize) return;
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        void this.reload();
      }, coalesceMs);
    });
    return () => {
      leave();
      clearTimeout(this.#timer);
      this.#abort?.abort();
    };
  }

  async #page(wish: {
    readonly signal: AbortSignal;
    readonly lane?: TimelineLane;
    readonly cursor?: string | null;
  }): Promise<Timeline | null> {
    const asked = this.#asked;
    if (asked === null) return null;
    const { tenantId, from, to, by } = asked;
    const { lane, cursor = null, signal } = wish;
    const hosts =
      lane === undefined
        ? { by }
        : lane.id === null
          ? { by: 'host' as const, ungrouped: 'yes' as const }
          : { by: 'host' as const, ...(lane.kind === 'site' ? { siteId: lane.id } : { groupId: lane.id }) };
    const query = { from, to, limit: pageSize, ...hosts, ...(cursor === null ? {} : { cursor }) };
    return call('getTimeline', { params: { tenantId }, query, signal });
  }

  async #during(read: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.loading = true;
    try {
      await read(abort.signal);
      if (abort === this.#abort) this.error = null;
    } catch (error) {
      if (abort === this.#abort && !abort.signal.aborted) this.error = toApiError(error);
    } finally {
      if (abort === this.#abort) this.loading = false;
    }
  }
}
