import type { AgentFrame } from '#contract/agent-link.ts';
import { maxSamplesPerFrame, type MetricSample } from '#contract/metrics.ts';

/** Samples that wait for the server at most: a day of them, at one a minute. */
export const maxWaiting = 1440;
/** The first sample after a start: long enough for a rate, short enough that somebody who looks need not wait. */
const firstAfterMs = 5_000;
/** What matters more (results above all) leaves first when the server is back. */
const holdBackMs = 2_000;
/** A day of samples is sent over several turns. */
const framesPerTurn = 2;
const minuteMs = 60_000;

export interface SamplerDeps {
  readonly read: () => Promise<(number | null)[]>;
  /** False when the frame was not taken: the samples wait. */
  readonly send: (frame: AgentFrame) => boolean;
  readonly onFault: (error: unknown) => void;
  /** 0 to below 1: where in its period this host measures, so that a fleet does not measure all at once. */
  readonly random: () => number;
}

/**
 * Measures the host at its pace once the server has asked for it, and keeps what could not be sent, bounded, in memory.
 * Nothing here waits for anything or holds anything up: a sample that is lost is a gap in a curve.
 */
export class Sampler {
  readonly #deps: SamplerDeps;
  readonly #phase: number;
  #waiting: MetricSample[] = [];
  #dropped = 0;
  #everyMs = 0;
  #lastMinute = -1;
  #heldBackUntilMs = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(deps: SamplerDeps) {
    this.#deps = deps;
    this.#phase = deps.random();
  }

  /** Samples that could not be sent yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** The server has said hello and asks for a sample every so many seconds. */
  measure(everyS: number): void {
    this.#heldBackUntilMs = Date.now() + holdBackMs;
    const isNew = this.#everyMs === 0;
    this.#everyMs = everyS * 1000;
    if (!isNew) return;
    // The first reading of the counters is what the first rates are counted from.
    void this.#deps.read().catch(this.#deps.onFault);
    this.#schedule(firstAfterMs);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#everyMs = 0;
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#turn()
        .catch(this.#deps.onFault)
        .finally(() => {
          if (this.#everyMs > 0) this.#schedule(this.#untilNextMs());
        });
    }, delayMs);
    this.#timer.unref();
  }

  /** To this host's place in the next period of the wall clock. */
  #untilNextMs(): number {
    const nowMs = Date.now();
    const place = this.#phase * this.#everyMs;
    const next = (Math.floor((nowMs - place) / this.#everyMs) + 1) * this.#everyMs + place;
    return Math.max(next - nowMs, 1);
  }

  async #turn(): Promise<void> {
    const codes = await this.#deps.read();
    const minute = Math.floor(Date.now() / minuteMs);
    if (minute !== this.#lastMinute) {
      this.#lastMinute = minute;
      this.#waiting.push([minute, ...codes] as MetricSample);
      if (this.#waiting.length > maxWaiting) {
        this.#waiting.shift();
        this.#dropped += 1;
      }
    }
    this.#flush();
  }

  #flush(): void {
    if (Date.now() < this.#heldBackUntilMs) return;
    for (let frames = 0; frames < framesPerTurn && this.#waiting.length > 0; frames += 1) {
      const samples = this.#waiting.slice(0, maxSamplesPerFrame);
      if (!this.#deps.send({ type: 'metrics', samples, dropped: this.#dropped })) return;
      this.#waiting = this.#waiting.slice(samples.length);
      this.#dropped = 0;
    }
  }
}
