import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { Value } from 'typebox/value';
import { WebSocket } from 'ws';
import type { ClientOptions, RawData } from 'ws';
import { AgentFrame, linkProtocol, maxFrameBytes, ServerFrame } from '#contract/agent-link.ts';
import { Backoff } from './backoff.ts';
import type { HostLink, LinkHandlers } from './hostLink.ts';

/** Frames waiting in the socket above which nothing more is sent: what matters is sent again from the journal. */
const maxBufferedBytes = 16 << 20;
const maxAskedDelayMs = 900_000;

export interface LinkOptions {
  readonly random?: () => number;
  readonly firstDelayMs?: number;
  readonly capDelayMs?: number;
}

function readDelayMs(text: string | undefined): number | null {
  const seconds = Number(text);
  if (text === undefined || text === '' || !Number.isFinite(seconds) || seconds < 0) return null;
  return Math.min(seconds * 1000, maxAskedDelayMs);
}

/**
 * The one long-lived connection to the server. It promises to come back for ever, gently; it never decides anything
 * about commands.
 */
export class AgentLink implements HostLink {
  readonly #handlers: LinkHandlers;
  readonly #backoff: Backoff;
  #socket: WebSocket | null = null;
  #heartbeatS = 15;
  #heartbeatTimer: NodeJS.Timeout | null = null;
  #reconnectTimer: NodeJS.Timeout | null = null;
  #askedDelayMs: number | null = null;
  #lastHeardMs: number | null = null;
  #isWelcome = false;
  #isStopped = false;
  /** What makes the next handshake cheap for both sides, and the credentials of which it speaks. */
  #resumable: { readonly of: string; readonly session: Buffer } | null = null;

  constructor(handlers: LinkHandlers, options: LinkOptions = {}) {
    this.#handlers = handlers;
    this.#backoff = new Backoff({
      firstMs: options.firstDelayMs ?? 1000,
      capMs: options.capDelayMs ?? 60_000,
      random: options.random ?? Math.random,
    });
  }

  start(): void {
    this.#isStopped = false;
    this.#connect();
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#reconnectTimer) clearTimeout(this.#reconnectTimer);
    if (this.#heartbeatTimer) clearInterval(this.#heartbeatTimer);
    this.#socket?.terminate();
  }

  /** Ends the present connection; the next one uses fresh credentials. */
  reconnect(): void {
    this.#socket?.close(1000, 'new certificate');
  }

  /** True between the server's welcome and the end of the connection. */
  get isUp(): boolean {
    return this.#isWelcome && this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Local instant (ms) of the last frame from the server; null when none ever came. */
  get lastHeardMs(): number | null {
    return this.#lastHeardMs;
  }

  /** Sends a frame, or drops it when the server is away or slow. */
  send(frame: AgentFrame): boolean {
    const socket = this.#socket;
    if (!this.isUp || socket === null || socket.bufferedAmount > maxBufferedBytes) return false;
    // The server ends a connection over one frame outside the contract; what a program on this host has printed must
    // not be able to cause that.
    const { type } = frame;
    if (!Value.Check(AgentFrame, frame)) {
      this.#handlers.onBadFrame(`my own ${type} frame is outside the contract`);
      return false;
    }
    const text = JSON.stringify(frame);
    if (Buffer.byteLength(text) > maxFrameBytes) return false;
    socket.send(text);
    return true;
  }

  #connect(): void {
    const { url, caPem, chainPem, keyPem } = this.#handlers.credentials();
    const name = new URL(url).hostname.replace(/^\[|\]$/g, '');
    const options: ClientOptions = {
      ca: caPem,
      cert: chainPem,
      key: keyPem,
      minVersion: 'TLSv1.3',
      // The name is checked by Node against the certificate, addresses included.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      rejectUnauthorized: true,
      handshakeTimeout: 20_000,
      maxPayload: maxFrameBytes,
      perMessageDeflate: false,
      followRedirects: false,
      createConnection: this.#openTls(`${url} ${caPem} ${chainPem}`) as NonNullable<
        ClientOptions['createConnection']
      >,
    };
    const socket = new WebSocket(url, [linkProtocol], options);
    this.#socket = socket;
    let why = 'closed';
    socket.on('open', () => {
      this.#lastHeardMs = Date.now();
      socket.send(JSON.stringify(this.#handlers.hello()));
      this.#beat(socket);
    });
    socket.on('message', (data) => this.#receive(data));
    socket.on('unexpected-response', (_request, answer: IncomingMessage) => {
      this.#askedDelayMs = readDelayMs(answer.headers['retry-after']);
      why = `HTTP ${answer.statusCode ?? 0}`;
      answer.resume();
      socket.terminate();
    });
    socket.on('error', (error) => {
      why = error.message;
    });
    socket.on('close', (code, reason) => this.#closed(code, reason.toString(), why));
  }

  /** Resumes the last TLS session with these credentials: a server to which a whole fleet comes back does half the work. */
  #openTls(of: string) {
    return (options: ConnectionOptions) => {
      const { host = '', servername = isIP(host) === 0 ? host : '' } = options;
      const session = this.#resumable?.of === of ? { session: this.#resumable.session } : {};
      // The path of the request is no path of a socket file.
      const socket = connectTls({ ...options, path: undefined, servername, ...session });
      socket.on('session', (fresh) => (this.#resumable = { of, session: fresh }));
      return socket;
    };
  }

  #beat(socket: WebSocket): void {
    if (this.#heartbeatTimer) clearInterval(this.#heartbeatTimer);
    this.#heartbeatTimer = setInterval(() => {
      const silentMs = Date.now() - (this.#lastHeardMs ?? 0);
      // Half-open connections look alive for hours; three missed answers end them.
      if (silentMs > this.#heartbeatS * 3000) socket.terminate();
      else if (this.isUp) socket.send(JSON.stringify(this.#handlers.heartbeat()));
    }, this.#heartbeatS * 1000);
  }

  #receive(data: RawData): void {
    this.#lastHeardMs = Date.now();
    let frame: unknown;
    try {
      frame = JSON.parse((data as Buffer).toString('utf8')) as unknown;
    } catch {
      this.#handlers.onBadFrame('a frame that is no JSON');
      return;
    }
    if (!Value.Check(ServerFrame, frame)) {
      this.#handlers.onBadFrame(`a frame outside the contract: ${JSON.stringify(frame).slice(0, 80)}`);
      return;
    }
    if (frame.type === 'welcome') this.#welcome(frame.heartbeatS);
    this.#handlers.onFrame(frame);
  }

  #welcome(heartbeatS: number): void {
    this.#isWelcome = true;
    this.#heartbeatS = heartbeatS;
    this.#backoff.reset();
    const socket = this.#socket;
    if (socket === null) return;
    this.#beat(socket);
    // The first heartbeat asks for the lock's state, without which nothing released may run.
    setImmediate(() => this.isUp && socket.send(JSON.stringify(this.#handlers.heartbeat())));
  }

  #closed(code: number, reason: string, why: string): void {
    if (this.#heartbeatTimer) clearInterval(this.#heartbeatTimer);
    this.#isWelcome = false;
    this.#socket = null;
    // A server that is full says when to come back: `retry-after=30` as the reason of code 1013 (try again later).
    const asked = code === 1013 ? readDelayMs(/^retry-after=(\d+)$/.exec(reason)?.[1]) : null;
    const delayMs = this.#backoff.next(asked ?? this.#askedDelayMs);
    this.#askedDelayMs = null;
    this.#handlers.onClosed(reason === '' ? why : `${code} ${reason}`);
    if (!this.#isStopped) this.#reconnectTimer = setTimeout(() => this.#connect(), delayMs);
  }
}
