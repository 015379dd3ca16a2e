import type { LiveEvent } from '#contract/tenants.ts';
import type { Db } from '../../platform/db.ts';
import type { Logger } from '../../platform/log.ts';
import { lastSeq, listEvents } from './events.repository.ts';

/** One screen that follows a tenant. */
export interface Follower {
  readonly tenantId: string;
  /** The last number that was sent; null until the start is known. */
  seq: number | null;
  readonly send: (text: string) => void;
  /** Bytes that the other side has not taken yet. */
  readonly backlogBytes: () => number;
  readonly drop: (code: number, reason: string) => void;
}

interface HubDeps {
  readonly db: Db;
  readonly log: Logger;
}

/** A follower this far behind is dropped: it resumes from its last number when it can read again. */
export const maxBacklogBytes = 1_048_576;
/** WebSocket close code for a follower that reads too slowly (private range, RFC 6455 section 7.4.2). */
export const tooSlowCode = 4008;
const batchSize = 500;

/** Reads each tenant's new events once and hands them to all who follow it; PostgreSQL is the truth, wake-ups are hints. */
export class EventHub {
  readonly #deps: HubDeps;
  readonly #followers = new Map<string, Set<Follower>>();
  readonly #reading = new Map<string, Promise<void>>();
  readonly #again = new Set<string>();

  constructor(deps: HubDeps) {
    this.#deps = deps;
  }

  tenants(): string[] {
    return [...this.#followers.keys()];
  }

  add(follower: Follower): void {
    const followers = this.#followers.get(follower.tenantId) ?? new Set();
    followers.add(follower);
    this.#followers.set(follower.tenantId, followers);
    this.wake(follower.tenantId);
  }

  remove(follower: Follower): void {
    const followers = this.#followers.get(follower.tenantId);
    followers?.delete(follower);
    if (followers?.size === 0) this.#followers.delete(follower.tenantId);
  }

  /** Says that the tenant may have news. One reading at a time for each tenant; a wake-up during it causes one more. */
  wake(tenantId: string): void {
    if (!this.#followers.has(tenantId)) return;
    if (this.#reading.has(tenantId)) {
      this.#again.add(tenantId);
      return;
    }
    const reading = this.#read(tenantId)
      .catch((error: unknown) =>
        this.#deps.log.warn({ err: error, tenantId }, 'events could not be read; tried again soon'),
      )
      .finally(() => {
        this.#reading.delete(tenantId);
        if (this.#again.delete(tenantId)) this.wake(tenantId);
      });
    this.#reading.set(tenantId, reading);
  }

  async #read(tenantId: string): Promise<void> {
    for (;;) {
      const followers = [...(this.#followers.get(tenantId) ?? [])];
      if (followers.length === 0) return;
      if (followers.some(({ seq }) => seq === null)) await this.#placeNew(tenantId, followers);
      const from = Math.min(...followers.map(({ seq }) => seq ?? Number.MAX_SAFE_INTEGER));
      const events = await this.#deps.db.inTenant(tenantId, (tx) => listEvents(tx, from, batchSize));
      for (const follower of followers) this.#deliver(follower, events);
      if (events.length < batchSize) return;
    }
  }

  /** Who names no number begins with the next event. */
  async #placeNew(tenantId: string, followers: readonly Follower[]): Promise<void> {
    const head = await this.#deps.db.inTenant(tenantId, lastSeq);
    for (const follower of followers) follower.seq ??= head;
  }

  #deliver(follower: Follower, events: readonly LiveEvent[]): void {
    const news = events.filter(({ seq }) => seq > (follower.seq ?? 0));
    const newest = news.at(-1);
    if (newest === undefined) return;
    if (follower.backlogBytes() > maxBacklogBytes) {
      this.remove(follower);
      follower.drop(tooSlowCode, 'too slow: resume from the last number');
      return;
    }
    follower.seq = newest.seq;
    follower.send(JSON.stringify(news));
  }
}
