import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { WebSocketServer } from 'ws';
import { linkProtocol, maxFrameBytes, type AgentFrame } from '#contract/agent-link.ts';
import type { Clock } from '../../platform/clock.ts';
import { invariant } from '../../platform/errors.ts';
import type { Logger } from '../../platform/log.ts';
import type { AgentIdentity, DisconnectReason, HostsHandlers, HostsPort, SendOutcome } from '../port.ts';
import { createAdmission } from './admission.ts';
import { Connection } from './connection.ts';
import { FrameError } from './frames.ts';
import { peerOf } from './peer.ts';

/** What the listener shows and whom it believes. PEM texts. */
export interface LinkTls {
  readonly keyPem: string;
  /** The server's certificate and the authority above it. */
  readonly chainPem: string;
  /** Root certificates of the tenants. */
  readonly clientRootsPem: readonly string[];
  /** 48 bytes that seal session tickets; of this process alone when absent. */
  readonly ticketKeys?: Buffer;
}

export interface AgentLinkOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly tls: () => Promise<LinkTls>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly heartbeatS: number;
  /** TLS handshakes a second; each costs about a millisecond of processor time. */
  readonly handshakesPerS?: number;
  readonly maxConnections?: number;
}

/** The agents' listener: a HostsPort whose frames travel over mutually authenticated WebSockets. */
export interface AgentLink extends HostsPort {
  /** Port in use, once started. */
  readonly port: () => number;
  /** Reads the certificates again: a tenant was added, or the server's certificate renewed. New handshakes use them. */
  readonly reloadTls: () => Promise<void>;
  /** How many agents are connected here. */
  readonly count: () => number;
  /** TLS handshakes since the start: whole ones, and those that resumed a session at half the cost. */
  readonly handshakes: () => { readonly full: number; readonly resumed: number };
  /** Asks so many agents to come back in a moment, to whichever node they like. */
  readonly release: (count: number) => void;
  /** An agent has said hello to another node: what is left of it here is its old connection, or a copy of the host. */
  readonly connectedElsewhere: (agentId: string, bootId: string) => Promise<void>;
}

const helloWithinMs = 10_000;
const cloneProbeMs = 2_000;
const missedHeartbeats = 3;
const ticketLifeS = 86_400;
/** The agent adds its own jitter. */
const movedReturnMs = 1_000;

class WebSocketLink implements AgentLink {
  readonly #options: AgentLinkOptions;
  readonly #connections = new Map<string, Connection>();
  /** Connections that have not said hello, or wait for the one before them to end. */
  readonly #waiting = new Set<Connection>();
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(linkProtocol) ? linkProtocol : false),
  });
  #server: Server | undefined;
  #handlers: HostsHandlers | undefined;
  #supervision: NodeJS.Timeout | undefined;
  #stopping = false;
  readonly #handshakes = { full: 0, resumed: 0 };

  constructor(options: AgentLinkOptions) {
    this.#options = options;
  }

  readonly start = async (handlers: HostsHandlers): Promise<void> => {
    const { clock, host, port, heartbeatS } = this.#options;
    this.#handlers = handlers;
    const perSecond = this.#options.handshakesPerS ?? 800;
    const admission = createAdmission({ perSecond, burst: perSecond, now: clock.now });
    const server = createServer(
      {
        ...(await this.#secureContext()),
        requestCert: true,
        // Nobody without a valid certificate reaches the HTTP parser.
        rejectUnauthorized: true,
        handshakeTimeout: 10_000,
        headersTimeout: 10_000,
        maxHeaderSize: 8192,
      },
      (_request, response) => response.writeHead(404).end(),
    );
    // Before TLS: a storm of reconnections must not spend the processor on handshakes; agents come back with jitter.
    server.prependListener('connection', (socket) => {
      if (!admission.take()) socket.destroy();
    });
    server.on('secureConnection', (socket) => {
      this.#handshakes[socket.isSessionReused() ? 'resumed' : 'full'] += 1;
    });
    server.on('tlsClientError', (error: Error) =>
      this.#options.log.debug({ err: error }, 'a handshake of an agent failed'),
    );
    server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    this.#server = server;
    this.#supervision = setInterval(() => this.#supervise(), heartbeatS * 1000);
    this.#supervision.unref();
  };

  readonly stop = async (): Promise<void> => {
    this.#stopping = true;
    clearInterval(this.#supervision);
    const all = [...this.#connections.values(), ...this.#waiting];
    for (const connection of all) connection.close('stopping', 'stopping', this.#returnDelayMs());
    const server = this.#server;
    if (server === undefined) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      setTimeout(() => server.closeAllConnections(), 2500).unref();
    });
    await Promise.all(all.map((connection) => connection.settled()));
  };

  readonly port = (): number => {
    const address = this.#server?.address();
    invariant(typeof address === 'object' && address !== null, 'the agents’ listener is not started');
    return (address satisfies AddressInfo).port;
  };

  readonly reloadTls = async (): Promise<void> => {
    this.#server?.setSecureContext(await this.#secureContext());
  };

  readonly send: HostsPort['send'] = (agentId, frame): SendOutcome =>
    this.#connections.get(agentId)?.send(frame) ?? 'not_connected';

  readonly isConnected = (agentId: string): boolean => this.#connections.get(agentId)?.open ?? false;

  readonly connectedAgents = (): Iterable<AgentIdentity> =>
    [...this.#connections.values()].filter(({ open }) => open).map(({ identity }) => identity);

  readonly disconnect: HostsPort['disconnect'] = (agentId, code, retryAfterMs) => {
    const all = [...this.#waiting].filter(({ identity }) => identity.agentId === agentId);
    const live = this.#connections.get(agentId);
    for (const connection of live === undefined ? all : [live, ...all]) {
      connection.close('refused', code, retryAfterMs);
    }
  };

  readonly count = (): number => this.#connections.size;

  readonly handshakes = () => ({ ...this.#handshakes });

  readonly release = (count: number): void => {
    for (const connection of [...this.#connections.values()].slice(0, count)) {
      connection.close('closed', 'moved', movedReturnMs);
    }
  };

  readonly connectedElsewhere = async (agentId: string, bootId: string): Promise<void> => {
    const connection = this.#connections.get(agentId);
    if (connection === undefined) return;
    const firstBootId = connection.bootId ?? '';
    if (firstBootId !== bootId && (await connection.answers(cloneProbeMs))) {
      await this.#handlers?.cloned(connection.identity, { firstBootId, secondBootId: bootId });
      connection.close('refused', 'clone_suspected');
      return;
    }
    connection.cut('replaced');
    await this.#ended(connection, 'replaced');
  };

  async #secureContext() {
    const { keyPem, chainPem, clientRootsPem, ticketKeys } = await this.#options.tls();
    return {
      ...{ key: keyPem, cert: chainPem, ca: [...clientRootsPem], minVersion: 'TLSv1.3' as const },
      // A ticket of another listener is not taken for one of ours.
      ...{ sessionIdContext: 'atlas-agents', sessionTimeout: ticketLifeS },
      ...(ticketKeys === undefined ? {} : { ticketKeys }),
    };
  }

  /** Spreads the return of the whole fleet over what the listener can take, at least five seconds. */
  #returnDelayMs(): number {
    const perSecond = this.#options.handshakesPerS ?? 800;
    return Math.max(5000, (this.#connections.size / perSecond) * 1000) * Math.random();
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const refuse = (status: string): void => {
      socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    };
    socket.on('error', () => socket.destroy());
    try {
      if (request.url !== '/link' || request.headers['sec-websocket-protocol'] !== linkProtocol) {
        refuse('404 Not Found');
        return;
      }
      const room = this.#connections.size + this.#waiting.size < (this.#options.maxConnections ?? 20_000);
      if (this.#stopping || !room) {
        refuse('503 Service Unavailable\r\nRetry-After: 30');
        return;
      }
      const peer = peerOf(request.socket as TLSSocket);
      // Asked at every connection, resumed ones too: a session ticket must not outlive a revocation.
      const identity = peer === null ? null : await this.#handlers?.authenticate(peer);
      if (identity === null || identity === undefined) {
        refuse('403 Forbidden');
        return;
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
        this.#accept(identity, webSocket, request.socket),
      );
    } catch (error) {
      this.#options.log.warn({ err: error }, 'an agent could not be recognised');
      refuse('503 Service Unavailable\r\nRetry-After: 10');
    }
  }

  #accept(
    identity: AgentIdentity,
    socket: ConstructorParameters<typeof Connection>[0]['socket'],
    raw: IncomingMessage['socket'],
  ): void {
    const connection: Connection = new Connection({
      identity,
      socket,
      raw,
      now: this.#options.clock.now,
      events: {
        frame: (frame) => this.#receive(connection, frame),
        ended: (reason) => this.#ended(connection, reason),
        failed: (error) => this.#report(connection, error),
      },
    });
    this.#waiting.add(connection);
    setTimeout(() => {
      if (connection.bootId === null) connection.close('protocol_error', 'no_hello', 30_000);
    }, helloWithinMs).unref();
  }

  async #receive(connection: Connection, frame: AgentFrame): Promise<void> {
    const handlers = this.#handlers;
    invariant(handlers !== undefined, 'a frame came before the start');
    if (frame.type !== 'hello') {
      if (!this.#isCurrent(connection)) throw new FrameError('a frame before hello');
      await handlers.frame(connection.identity, frame);
      return;
    }
    if (connection.bootId !== null) throw new FrameError('a second hello');
    connection.bootId = frame.bootId;
    if (!(await this.#takeOver(connection, frame.bootId))) return;
    const frames = await handlers.connected(connection.identity, frame);
    connection.welcome(frames);
    if (frames[0]?.type === 'refused') connection.close('refused', frames[0].code);
  }

  #isCurrent(connection: Connection): boolean {
    return this.#connections.get(connection.identity.agentId) === connection;
  }

  /** Makes this the agent's connection. False when two living hosts share the identity: both are closed. */
  async #takeOver(connection: Connection, bootId: string): Promise<boolean> {
    const { agentId } = connection.identity;
    for (;;) {
      const before = this.#connections.get(agentId);
      if (before === undefined) break;
      // A host that restarted leaves a half-open connection behind, which answers nobody. A copy answers.
      const firstBootId = before.bootId ?? '';
      if (firstBootId !== bootId && (await before.answers(cloneProbeMs))) {
        await this.#handlers?.cloned(connection.identity, { firstBootId, secondBootId: bootId });
        before.close('refused', 'clone_suspected');
        connection.close('refused', 'clone_suspected');
        return false;
      }
      before.cut('replaced');
      await this.#ended(before, 'replaced');
    }
    if (!connection.open) return false;
    this.#waiting.delete(connection);
    this.#connections.set(agentId, connection);
    return true;
  }

  async #ended(connection: Connection, reason: DisconnectReason): Promise<void> {
    this.#waiting.delete(connection);
    if (!this.#isCurrent(connection)) return;
    this.#connections.delete(connection.identity.agentId);
    try {
      await this.#handlers?.disconnected(connection.identity, reason);
    } catch (error) {
      this.#report(connection, error);
    }
  }

  #report(connection: Connection, error: unknown): void {
    const { agentId, tenantId } = connection.identity;
    const level = error instanceof FrameError ? 'warn' : 'error';
    this.#options.log[level]({ err: error, agentId, tenantId }, 'a frame of an agent was not dealt with');
  }

  #supervise(): void {
    const oldestMs = this.#options.clock.now() - missedHeartbeats * this.#options.heartbeatS * 1000;
    for (const connection of this.#connections.values()) {
      if (connection.lastHeardMs < oldestMs) connection.cut('silent');
    }
  }
}

export function createAgentLink(options: AgentLinkOptions): AgentLink {
  return new WebSocketLink(options);
}
