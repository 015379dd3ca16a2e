import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Transform } from 'node:stream';
import type { Chance } from './chance.ts';

/** What the way between two programs does to bytes. Everything that is absent is as it should be. */
export interface Bad {
  /** Each chunk waits this long, milliseconds, and up to `jitterMs` more. */
  readonly latencyMs?: number;
  readonly jitterMs?: number;
  readonly bytesPerSecond?: number;
  /** Chunks of at most so many bytes. */
  readonly sliceBytes?: number;
  /** Nobody is let in, and who is inside is reset. */
  readonly isShut?: boolean;
  /** Connections stay open and carry nothing, in the directions named: half-open. */
  readonly swallows?: 'both' | 'toServer' | 'toClient';
  /** Told of every chunk towards the server, with all bytes so far of that connection. */
  readonly onBytes?: (total: number, cut: () => void) => void;
}

type Direction = 'toServer' | 'toClient';

/** A TCP proxy on the loopback (or another address of this machine) whose manners can be changed while it carries. */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: { readonly port: number };
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #bad: Bad = {};
  #chance: Chance | null = null;

  private constructor(target: { readonly port: number }) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  static async open(target: { readonly port: number }, address = '127.0.0.1'): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, address, resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** From now on it behaves like this, also towards those who are connected. */
  become(bad: Bad, chance: Chance | null = null): void {
    this.#bad = bad;
    this.#chance = chance;
    if (bad.isShut === true) this.reset();
  }

  /** Ends every connection with a reset. */
  reset(): void {
    for (const pair of [...this.#pairs]) for (const socket of pair) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(client: Socket): void {
    if (this.#bad.isShut === true) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const server = connect({ host: '127.0.0.1', port: this.#target.port, noDelay: true });
    client.setNoDelay(true);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    client.pipe(this.#way('toServer', end)).pipe(server);
    server.pipe(this.#way('toClient', end)).pipe(client);
  }

  #way(direction: Direction, cut: () => void): Transform {
    let total = 0;
    const way = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        total += chunk.length;
        if (direction === 'toServer') this.#bad.onBytes?.(total, cut);
        const push = (part: Buffer): void => void way.push(part);
        this.#carry(chunk, direction, push).then(
          () => done(),
          (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
        );
      },
    });
    return way;
  }

  /** Waits as the way demands, and hands on what is not swallowed. */
  async #carry(chunk: Buffer, direction: Direction, push: (part: Buffer) => void): Promise<void> {
    const { latencyMs = 0, jitterMs = 0, bytesPerSecond, swallows, sliceBytes = chunk.length } = this.#bad;
    const waitMs = latencyMs + (this.#chance?.next() ?? 0) * jitterMs;
    const paceMs = bytesPerSecond === undefined ? 0 : (chunk.length / bytesPerSecond) * 1000;
    if (waitMs + paceMs > 0) await delay(waitMs + paceMs);
    if (swallows === 'both' || swallows === direction) return;
    for (let at = 0; at < chunk.length; at += sliceBytes) {
      push(chunk.subarray(at, at + sliceBytes));
      // Each slice is a segment of its own on the wire.
      if (sliceBytes < chunk.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
