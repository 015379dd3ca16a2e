import type { LiveEvent } from '#contract/tenants.ts';
import { call } from './api.ts';
import { backoffMs, liveUrl } from './backoff.ts';

export type LiveEventType = LiveEvent['type'];
type Listener = (event: LiveEvent) => void;

const pollEveryMs = 5000;
/** A quiet socket looks like a dead one from inside a page: after this silence the server is asked. */
const askAfterSilenceMs = 30_000;
/** Sockets that fail this many times in a row are given up for polling, and tried again beside it. */
const failuresBeforePolling = 3;

function isEvent(value: unknown): value is LiveEvent {
  return typeof value === 'object' && value !== null && typeof (value as LiveEvent).seq === 'number';
}

/** News of one tenant: a WebSocket that resumes where it was, or polling when there is no way through for it. */
class Live {
  /** `live`: connected; `polling`: asking every few seconds; `lost`: nothing answers. */
  phase = $state<'connecting' | 'live' | 'polling' | 'lost'>('connecting');
  /** When the server was last heard, milliseconds since 1970; says how old the screen may be. */
  lastHeardAt = $state(Date.now());
  #tenantId: string | null = null;
  #lastSeq: number | null = null;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #watch: ReturnType<typeof setInterval> | undefined;
  readonly #listeners = new Set<Listener>();

  /** Follows a tenant; following another one, or null, leaves the first. */
  follow(tenantId: string | null): void {
    if (tenantId === this.#tenantId) return;
    this.#tenantId = tenantId;
    this.#lastSeq = null;
    this.#attempt = 0;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#socket?.close();
    this.#socket = null;
    this.phase = 'connecting';
    if (tenantId === null) return;
    this.#watch = setInterval(() => void this.#askIfSilent(tenantId), 5000);
    void this.#connect(tenantId);
  }

  on(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #connect(tenantId: string): Promise<void> {
    try {
      const { ticket } = await call('createLiveTicket', { params: { tenantId } });
      if (tenantId !== this.#tenantId) return;
      const socket = new WebSocket(liveUrl(window.location.origin, ticket, this.#lastSeq));
      this.#socket = socket;
      socket.onopen = () => this.#opened();
      socket.onmessage = (message) => this.#receive(message.data);
      socket.onclose = () => this.#closed(tenantId, socket);
    } catch {
      // No ticket: signed out, overloaded or unreachable; the retry below tells which by its own error.
      this.#retry(tenantId);
    }
  }

  #opened(): void {
    this.#attempt = 0;
    this.phase = 'live';
    this.lastHeardAt = Date.now();
  }

  #closed(tenantId: string, socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#retry(tenantId);
  }

  #retry(tenantId: string): void {
    if (tenantId !== this.#tenantId) return;
    this.#attempt += 1;
    if (this.#attempt > failuresBeforePolling) {
      this.#timer = setTimeout(() => void this.#poll(tenantId), pollEveryMs);
      return;
    }
    this.phase = 'connecting';
    this.#timer = setTimeout(() => void this.#connect(tenantId), backoffMs(this.#attempt));
  }

  /** One round of polling, then the socket is tried again: a repaired proxy is noticed without a reload. */
  async #poll(tenantId: string): Promise<void> {
    try {
      await this.#catchUp(tenantId);
      this.phase = 'polling';
    } catch {
      this.phase = 'lost';
    }
    if (tenantId === this.#tenantId) await this.#connect(tenantId);
  }

  async #askIfSilent(tenantId: string): Promise<void> {
    if (this.phase !== 'live' || Date.now() - this.lastHeardAt < askAfterSilenceMs) return;
    try {
      await this.#catchUp(tenantId);
    } catch {
      // Not heard: `lastHeardAt` stays as it is, and the screen says for how long.
    }
  }

  async #catchUp(tenantId: string): Promise<void> {
    // Who has seen nothing yet wants what comes from now on, not the past.
    const after = this.#lastSeq ?? Number.MAX_SAFE_INTEGER;
    const page = await call('listEvents', { params: { tenantId }, query: { after, limit: 1000 } });
    if (tenantId !== this.#tenantId) return;
    this.lastHeardAt = Date.now();
    if (this.#lastSeq === null && page.lastSeq < Number.MAX_SAFE_INTEGER) this.#lastSeq = page.lastSeq;
    page.items.forEach((event) => this.#deliver(event));
  }

  #receive(raw: unknown): void {
    this.lastHeardAt = Date.now();
    const message: unknown = typeof raw === 'string' ? JSON.parse(raw) : null;
    const events = Array.isArray(message) ? message : [message];
    events.filter(isEvent).forEach((event) => this.#deliver(event));
  }

  #deliver(event: LiveEvent): void {
    if (this.#lastSeq !== null && event.seq <= this.#lastSeq) return;
    this.#lastSeq = event.seq;
    this.#listeners.forEach((listener) => listener(event));
  }
}

export const live = new Live();
