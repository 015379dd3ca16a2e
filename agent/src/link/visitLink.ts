import { chmod, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { Value } from 'typebox/value';
import { AgentFrame } from '#contract/agent-link.ts';
import { maxVisitBytes, VisitRequest } from '#contract/visit.ts';
import type { VisitReply } from '#contract/visit.ts';
import type { HostLink, LinkHandlers } from './hostLink.ts';

/** Without a visit for this long the server counts as away; visits come every few seconds while work is under way. */
const awayAfterMs = 45_000;
/** Frames of one moment travel together. */
const gatherMs = 150;
const maxWaitingFrames = 2000;
/** Room for the rest of the reply beside its frames. */
const maxFramesBytes = maxVisitBytes - 65_536;

type Talk = Extract<VisitRequest, { kind: 'open' | 'frames' }>;
const refused = (code: Extract<VisitReply, { kind: 'refused' }>['code'], detail: string): VisitReply => ({
  kind: 'refused',
  code,
  detail,
});

/** Everything that the other side says until it ends. An async iterator would destroy the socket before the answer. */
export function readToEnd(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    socket.once('error', reject);
  });
}

/** True when an engine answers on this socket. */
export async function isServed(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * A link without a connection: SSH brings visitors to a local socket, each leaves frames and takes frames away.
 * It promises that only root of this host can visit; what a lost visit took away is sent again from the journal.
 */
export class VisitLink implements HostLink {
  readonly #handlers: LinkHandlers;
  readonly #socketPath: string;
  readonly #waiting: { frame: AgentFrame; bytes: number }[] = [];
  #server: Server | null = null;
  #conversationId: string | null = null;
  #lastHeardMs: number | null = null;
  #lastVisitMs = Date.now();
  #wake: () => void = () => undefined;

  constructor(handlers: LinkHandlers, socketPath: string) {
    this.#handlers = handlers;
    this.#socketPath = socketPath;
  }

  start(): void {
    void this.#listen().catch((error: unknown) => {
      // Without its socket nobody reaches this program: another one in its place may be luckier.
      this.#handlers.onClosed(String(error));
      process.exit(1);
    });
  }

  stop(): void {
    this.#server?.close();
  }

  /** Nothing is held open: a fresh certificate is used when an agent takes over. */
  reconnect(): void {
    this.#wake();
  }

  get isUp(): boolean {
    return this.#conversationId !== null && Date.now() - (this.#lastHeardMs ?? 0) < awayAfterMs;
  }

  get lastHeardMs(): number | null {
    return this.#lastHeardMs;
  }

  /** Milliseconds since the last visit, or since the start. */
  get idleMs(): number {
    return Date.now() - this.#lastVisitMs;
  }

  send(frame: AgentFrame): boolean {
    if (!this.isUp || this.#waiting.length >= maxWaitingFrames) return false;
    const { type } = frame;
    if (!Value.Check(AgentFrame, frame)) {
      this.#handlers.onBadFrame(`my own ${type} frame is outside the contract`);
      return false;
    }
    const bytes = Buffer.byteLength(JSON.stringify(frame));
    if (bytes > maxFramesBytes) return false;
    this.#waiting.push({ frame, bytes });
    this.#wake();
    return true;
  }

  async #listen(): Promise<void> {
    if (await isServed(this.#socketPath)) throw new Error('another engine is at work on this host');
    await rm(this.#socketPath, { force: true });
    const server = createServer({ allowHalfOpen: true }, (socket) => void this.#receive(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#socketPath, resolve);
    });
    await chmod(this.#socketPath, 0o600);
  }

  async #receive(socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy());
    try {
      const request: unknown = JSON.parse(await readToEnd(socket));
      const reply = await this.#answer(request);
      socket.end(JSON.stringify(reply));
    } catch (error) {
      socket.end(JSON.stringify(refused('malformed', String(error).slice(0, 400))));
    }
  }

  async #answer(request: unknown): Promise<VisitReply> {
    if (!Value.Check(VisitRequest, request)) return refused('malformed', 'outside the contract');
    if (request.kind !== 'open' && request.kind !== 'frames') return refused('malformed', request.kind);
    return this.#talk(request);
  }

  async #talk(request: Talk): Promise<VisitReply> {
    this.#lastVisitMs = Date.now();
    if (request.kind === 'open') {
      this.#conversationId = request.conversationId;
      this.#waiting.length = 0;
      // Up only once the server has welcomed the host, as on the other link.
      this.#lastHeardMs = null;
      return { kind: 'frames', frames: [this.#handlers.hello()], busy: await this.#handlers.isBusy() };
    }
    if (request.conversationId !== this.#conversationId)
      return refused('no_conversation', 'this conversation is not the present one');
    this.#lastHeardMs = Date.now();
    for (const frame of request.frames) this.#handlers.onFrame(frame);
    await this.#gather(request.waitMs);
    this.#lastVisitMs = Date.now();
    this.#lastHeardMs = Date.now();
    return { kind: 'frames', frames: this.#takeFrames(), busy: await this.#handlers.isBusy() };
  }

  /** Waits until there is something to tell, and a moment longer. */
  async #gather(waitMs: number): Promise<void> {
    if (this.#waiting.length === 0)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    await new Promise((resolve) => setTimeout(resolve, gatherMs));
  }

  #takeFrames(): AgentFrame[] {
    const frames = [this.#handlers.heartbeat()];
    let bytes = 0;
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || (bytes > 0 && bytes + next.bytes > maxFramesBytes)) return frames;
      this.#waiting.shift();
      bytes += next.bytes;
      frames.push(next.frame);
    }
  }
}
