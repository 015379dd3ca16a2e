import type { Socket } from 'node:net';
import { WebSocket, type RawData } from 'ws';
import { maxFrameBytes, type ServerFrame } from '#contract/agent-link.ts';
import type { AgentFrame } from '#contract/agent-link.ts';
import type { AgentIdentity, DisconnectReason, SendOutcome } from '../port.ts';
import { coalesce, FrameError, parseAgentFrame } from './frames.ts';

/** Bytes in the socket's queue beyond which an agent gets no more work, while control frames still pass. */
const workBufferBytes = 65_536;
const controlBufferBytes = 2 * maxFrameBytes;
const maxQueuedFrames = 1000;
/** Frames read and not yet dealt with: beyond, the socket is not read, and TCP slows the agent down. */
const maxPendingFrames = 32;

const closeCodes: Record<DisconnectReason, number> = {
  closed: 1000,
  silent: 1001,
  replaced: 1000,
  refused: 1008,
  protocol_error: 1002,
  stopping: 1012,
};

interface ConnectionEvents {
  /** One frame at a time; a rejection ends the connection. */
  readonly frame: (frame: AgentFrame) => Promise<void>;
  readonly ended: (reason: DisconnectReason) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

/** One WebSocket of one agent: frames in order, bounded in both directions. */
export class Connection {
  readonly identity: AgentIdentity;
  readonly socket: WebSocket;
  readonly #raw: Socket;
  readonly #events: ConnectionEvents;
  readonly #now: () => number;
  readonly #outgoing: ServerFrame[] = [];
  #flushing = false;
  /** Until the first frames are known, others wait behind them. */
  #held = true;
  #incoming: Promise<void> = Promise.resolve();
  #pending = 0;
  #reason: DisconnectReason = 'closed';
  #ended = false;
  /** Boot of the host, once it has said hello. */
  bootId: string | null = null;
  lastHeardMs: number;

  constructor(options: {
    identity: AgentIdentity;
    socket: WebSocket;
    raw: Socket;
    events: ConnectionEvents;
    now: () => number;
  }) {
    this.identity = options.identity;
    this.socket = options.socket;
    this.#raw = options.raw;
    this.#events = options.events;
    this.#now = options.now;
    this.lastHeardMs = options.now();
    options.socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    options.socket.on('pong', () => (this.lastHeardMs = this.#now()));
    options.socket.on('error', () => (this.#reason = 'protocol_error'));
    options.socket.on('close', () => this.#end());
  }

  get open(): boolean {
    return !this.#ended && this.socket.readyState === WebSocket.OPEN;
  }

  send(frame: ServerFrame): SendOutcome {
    if (!this.open) return 'not_connected';
    const isWork = frame.type === 'commands' || frame.type === 'release';
    const limit = isWork ? workBufferBytes : controlBufferBytes;
    if (this.socket.bufferedAmount > limit || this.#outgoing.length >= maxQueuedFrames) return 'congested';
    this.#outgoing.push(frame);
    if (!this.#flushing && !this.#held) {
      this.#flushing = true;
      setImmediate(() => this.#flush());
    }
    return 'sent';
  }

  /** Puts the first frames before those that were queued meanwhile, and lets them all go. */
  welcome(first: readonly ServerFrame[]): void {
    this.#outgoing.unshift(...first);
    this.#held = false;
    this.#flush();
  }

  /** Sends what is queued, then says why the connection ends. A peer that does not answer is cut off. */
  close(reason: DisconnectReason, code: string, retryAfterMs?: number): void {
    if (this.#ended) return;
    this.#reason = reason;
    this.#flush();
    if (retryAfterMs === undefined) this.socket.close(closeCodes[reason], code);
    // 1013 is "try again later" (IANA registry of WebSocket close codes); the agent adds its own jitter to the delay.
    else this.socket.close(1013, `retry-after=${Math.ceil(retryAfterMs / 1000)}`);
    setTimeout(() => this.socket.terminate(), 2000).unref();
  }

  /** Ends it at once: there is nobody to say anything to. */
  cut(reason: DisconnectReason): void {
    this.#reason = reason;
    this.socket.terminate();
  }

  /** True when somebody answers a ping in time. */
  answers(withinMs: number): Promise<boolean> {
    if (!this.open) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (alive: boolean): void => {
        clearTimeout(timer);
        this.socket.off('pong', onPong);
        this.socket.off('close', onClose);
        resolve(alive);
      };
      const onPong = (): void => end(true);
      const onClose = (): void => end(false);
      const timer = setTimeout(() => end(false), withinMs);
      this.socket.on('pong', onPong);
      this.socket.on('close', onClose);
      this.socket.ping();
    });
  }

  /** Resolves when the socket is closed and every frame of it, and its end, have been dealt with. */
  settled(): Promise<void> {
    if (this.#ended) return this.#incoming;
    return new Promise((resolve) => {
      this.socket.once('close', () => resolve(this.#incoming));
    });
  }

  #flush(): void {
    this.#flushing = false;
    const frames = coalesce(this.#outgoing.splice(0));
    if (frames.length === 0 || this.socket.readyState !== WebSocket.OPEN) return;
    this.#raw.cork();
    for (const frame of frames) this.socket.send(JSON.stringify(frame));
    this.#raw.uncork();
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.lastHeardMs = this.#now();
    if (isBinary) {
      this.close('protocol_error', 'text_only');
      return;
    }
    this.#pending += 1;
    if (this.#pending === maxPendingFrames) this.socket.pause();
    const text = (data as Buffer).toString('utf8');
    this.#incoming = this.#incoming.then(() => this.#deal(text));
  }

  async #deal(text: string): Promise<void> {
    this.#pending -= 1;
    if (this.socket.isPaused && this.#pending < maxPendingFrames / 2) this.socket.resume();
    // After a fault nothing more is believed; after an orderly end, what was sent before still counts.
    if (this.#reason === 'protocol_error' || this.#reason === 'refused') return;
    try {
      await this.#events.frame(parseAgentFrame(text));
    } catch (error) {
      this.#events.failed(error);
      const code = error instanceof FrameError ? 'frame_refused' : 'try_again';
      this.close('protocol_error', code, error instanceof FrameError ? 60_000 : 5_000);
    }
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const reason = this.#reason;
    // What arrived before the end is dealt with first, so that nothing of a connection comes after its end.
    this.#incoming = this.#incoming.then(() => this.#events.ended(reason));
  }
}
