import { readFileSync } from 'node:fs';

/** Resident memory of one process, bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}

/** Samples a process's resident memory until stopped. */
export class MemorySampler {
  readonly #timer: NodeJS.Timeout;
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];

  constructor(pid: number, everyMs: number) {
    const startedMs = performance.now();
    const sample = (): void => {
      this.#samples.push({ atMs: performance.now() - startedMs, bytes: residentBytes(pid) });
    };
    sample();
    this.#timer = setInterval(sample, everyMs);
  }

  /** Megabytes at the start, at most and at the end, and once for each tenth of the time. */
  stop(): { startMb: number; peakMb: number; endMb: number; overTimeMb: number[] } {
    clearInterval(this.#timer);
    const megabytes = this.#samples.map(({ bytes }) => Math.round(bytes / 1_000_000));
    const at = (share: number): number => megabytes[Math.floor((megabytes.length - 1) * share)] ?? 0;
    return {
      startMb: at(0),
      peakMb: Math.max(...megabytes),
      endMb: at(1),
      overTimeMb: Array.from({ length: 11 }, (_, tenth) => at(tenth / 10)),
    };
  }
}
