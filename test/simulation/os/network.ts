import { EventEmitter } from 'node:events';
import { loop, type Machine, type Program } from './loop.ts';

/** One end of a connection. */
interface End {
  readonly program: Program;
  readonly receive: (text: string) => void;
  readonly closed: (code: number, reason: string) => void;
}

interface Parcel {
  readonly to: 'agent' | 'server';
  readonly text: string;
}

/** TCP between an agent and the server: in order, nothing twice, and silent when it is cut. */
export class Wire {
  readonly machine: Machine;
  readonly #ends: Partial<Record<'agent' | 'server', End>> = {};
  readonly #network: Network;
  #open = true;
  #lastMs = { agent: 0, server: 0 };
  #held: Parcel[] = [];

  constructor(network: Network, machine: Machine) {
    this.#network = network;
    this.machine = machine;
  }

  attach(side: 'agent' | 'server', end: End): void {
    this.#ends[side] = end;
    // The kernel of a living machine says that the program has gone; a cut network says nothing.
    end.program.atDeath.push(() => this.close(side, 1006, ''));
  }

  send(to: 'agent' | 'server', text: string): void {
    if (!this.#open) return;
    if (this.#network.isCut(this.machine)) this.#held.push({ to, text });
    else this.#carry({ to, text });
  }

  #carry({ to, text }: Parcel): void {
    const atMs = Math.max(this.#lastMs[to], loop.nowMs + this.#network.latencyMs());
    this.#lastMs[to] = atMs;
    loop.after(
      atMs - loop.nowMs,
      () => {
        const end = this.#ends[to];
        if (!this.#open || end === undefined || !end.program.alive) return;
        if (this.#network.isCut(this.machine)) this.#held.push({ to, text });
        else loop.runAs(end.program, () => end.receive(text));
      },
      null,
    );
  }

  /** The network is back: what was on its way arrives now. */
  healed(): void {
    for (const parcel of this.#held.splice(0)) this.#carry(parcel);
  }

  close(by: 'agent' | 'server', code: number, reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    const other = by === 'agent' ? 'server' : 'agent';
    const tell = (side: 'agent' | 'server', delayMs: number) => {
      const end = this.#ends[side];
      if (end === undefined) return;
      loop.after(
        delayMs,
        () => {
          if (end.program.alive) loop.runAs(end.program, () => end.closed(code, reason));
        },
        null,
      );
    };
    tell(by, 0);
    const isCut = this.#network.isCut(this.machine);
    tell(other, isCut ? this.#network.halfOpenMs : this.#network.latencyMs());
    this.#network.forget(this);
  }

  /** Both ends learn that it is gone, as after a reset. */
  reset(): void {
    this.close('agent', 1006, '');
  }
}

type Listener = (wire: Wire) => End | null;

/** Every connection of the world. */
export class Network {
  readonly #cut = new Set<Machine>();
  readonly #wires = new Set<Wire>();
  listener: Listener | null = null;
  slownessMs = 20;
  readonly halfOpenMs = 60_000;

  latencyMs(): number {
    return 1 + loop.chance.fraction() * this.slownessMs;
  }

  isCut(machine: Machine): boolean {
    return this.#cut.has(machine);
  }

  cut(machine: Machine): void {
    this.#cut.add(machine);
  }

  heal(machine: Machine): void {
    if (!this.#cut.delete(machine)) return;
    for (const wire of [...this.#wires]) {
      if (wire.machine !== machine) continue;
      // A connection may outlive a short cut, or be found dead.
      if (loop.chance.happens(0.5)) wire.healed();
      else wire.reset();
    }
  }

  resetSome(probability: number): void {
    for (const wire of [...this.#wires]) if (loop.chance.happens(probability)) wire.reset();
  }

  forget(wire: Wire): void {
    this.#wires.delete(wire);
  }

  /** An agent calls. Null when nobody takes the call. */
  connect(machine: Machine, end: End): Wire | null {
    if (this.#cut.has(machine) || this.listener === null) return null;
    const wire = new Wire(this, machine);
    const answer = this.listener(wire);
    if (answer === null) return null;
    wire.attach('agent', end);
    wire.attach('server', answer);
    this.#wires.add(wire);
    return wire;
  }
}

export const network = new Network();

/** The client of `ws` in the simulated world. */
export class WebSocket extends EventEmitter {
  static readonly OPEN = 1;
  readyState = 0;
  readonly bufferedAmount = 0;
  #wire: Wire | null = null;

  constructor(_url: string) {
    super();
    const { program } = loop;
    if (program === undefined) throw new Error('a connection was asked for outside of any program');
    const end: End = {
      program,
      receive: (text) => this.emit('message', Buffer.from(text)),
      closed: (code, reason) => this.#closed(code, reason),
    };
    loop.after(network.latencyMs(), () => {
      this.#wire = network.connect(program.machine, end);
      if (this.#wire === null) {
        loop.after(loop.chance.between(1, 3000), () => {
          this.emit('error', new Error('ECONNREFUSED'));
          this.#closed(1006, '');
        });
        return;
      }
      this.readyState = 1;
      this.emit('open');
    });
  }

  #closed(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.emit('close', code, Buffer.from(reason));
  }

  send(text: string): void {
    if (this.readyState === 1) this.#wire?.send('server', text);
  }

  close(code = 1000, reason = ''): void {
    this.#wire?.close('agent', code, reason);
  }

  terminate(): void {
    if (this.#wire === null) loop.after(0, () => this.#closed(1006, ''));
    else this.#wire.close('agent', 1006, '');
  }
}
