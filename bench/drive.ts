import type { SimulatedAgent } from './fleet.ts';

/** Loops that offer commands: closed (so many in the air), and open (at their times, whatever becomes of those before). */

export interface Latencies {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export interface RunReport {
  readonly wallMs: number;
  readonly latenciesMs: Latencies;
}

export function percentile(sorted: ArrayLike<number>, share: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return Math.round(value * 100) / 100;
}

/** What a loop took, with the latencies of its commands in any order. */
export function reportOf(latencies: number[], wallMs: number): RunReport {
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => percentile(latencies, share);
  return { wallMs, latenciesMs: { p50: at(0.5), p95: at(0.95), p99: at(0.99) } };
}

/** Closed loop: as many commands in the air as asked for, until all have a durable result. */
export async function driveClosed(
  { commands, inFlight }: { readonly commands: number; readonly inFlight: number },
  agents: readonly SimulatedAgent[],
  one: (agent: SimulatedAgent) => Promise<void>,
): Promise<RunReport> {
  const latencies: number[] = [];
  let next = 0;
  const startedMs = performance.now();
  const lane = async (): Promise<void> => {
    while (next < commands) {
      const agent = agents[next % agents.length];
      next += 1;
      const atMs = performance.now();
      if (agent !== undefined) await one(agent);
      latencies.push(performance.now() - atMs);
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, commands) }, lane));
  return reportOf(latencies, performance.now() - startedMs);
}

export interface OpenRequest {
  readonly commands: number;
  readonly durationMs: number;
  /** Ends the run when nothing has ended for so long: what is still missing then is lost. */
  readonly stalledMs: number;
}

export interface OpenReport {
  readonly wallMs: number;
  readonly ended: number;
  /** Each from the moment at which the command was due, not from when it could be offered. */
  readonly latenciesMs: Latencies & { readonly p999: number; readonly max: number };
  /** How late commands were offered: what the driver itself adds. */
  readonly offeredLateMs: { readonly p99: number; readonly max: number };
  readonly failures: readonly string[];
}

const tooManyFailures = 20;

/** Open loop: command n is due n gaps after the start, and is offered then though those before it have not ended. */
class OpenLoop {
  readonly #request: OpenRequest;
  readonly #one: (index: number) => Promise<void>;
  /** Reserved at once, so that the driver does not grow beside the server that it measures. */
  readonly #latencies: Float64Array;
  readonly #late: Float64Array;
  readonly #failures: string[] = [];
  #next = 0;
  #ended = 0;
  #settled = 0;
  #startedMs = 0;
  #lastEndMs = 0;

  constructor(request: OpenRequest, one: (index: number) => Promise<void>) {
    this.#request = request;
    this.#one = one;
    this.#latencies = new Float64Array(request.commands).fill(0);
    this.#late = new Float64Array(request.commands).fill(0);
  }

  run(): Promise<OpenReport> {
    this.#startedMs = performance.now();
    this.#lastEndMs = this.#startedMs;
    return new Promise((resolve) => this.#tick(resolve));
  }

  #dueMs(index: number): number {
    return this.#startedMs + (index * this.#request.durationMs) / this.#request.commands;
  }

  #tick(resolve: (report: OpenReport) => void): void {
    const { commands, stalledMs } = this.#request;
    const nowMs = performance.now();
    while (this.#next < commands && this.#dueMs(this.#next) <= nowMs) {
      this.#late[this.#next] = nowMs - this.#dueMs(this.#next);
      void this.#offer(this.#next);
      this.#next += 1;
    }
    const isAllOffered = this.#next === commands;
    const isStalled = isAllOffered && nowMs - this.#lastEndMs > stalledMs;
    if (isStalled || this.#settled === commands) {
      resolve(this.#report(nowMs));
      return;
    }
    const waitMs = isAllOffered ? 20 : Math.max(1, this.#dueMs(this.#next) - nowMs);
    setTimeout(() => this.#tick(resolve), waitMs);
  }

  async #offer(index: number): Promise<void> {
    try {
      await this.#one(index);
      this.#lastEndMs = performance.now();
      this.#latencies[this.#ended] = this.#lastEndMs - this.#dueMs(index);
      this.#ended += 1;
    } catch (error) {
      if (this.#failures.length < tooManyFailures) this.#failures.push(String(error));
    } finally {
      this.#settled += 1;
    }
  }

  #report(nowMs: number): OpenReport {
    const latencies = this.#latencies.subarray(0, this.#ended).sort();
    const late = this.#late.sort();
    const at = (share: number): number => percentile(latencies, share);
    return {
      wallMs: Math.round(nowMs - this.#startedMs),
      ended: this.#ended,
      latenciesMs: { p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1) },
      offeredLateMs: { p99: percentile(late, 0.99), max: percentile(late, 1) },
      failures: this.#failures,
    };
  }
}

/** Offers commands at their times and waits for the durable result of each. */
export function driveOpen(request: OpenRequest, one: (index: number) => Promise<void>): Promise<OpenReport> {
  return new OpenLoop(request, one).run();
}
