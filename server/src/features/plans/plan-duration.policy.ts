import type { PlanHost } from '#contract/plans.ts';

/** How long a whole plan is expected to take, milliseconds; `lastStart` is when its last wave starts. */
export interface PlanDuration {
  readonly lowMs: number;
  readonly highMs: number;
  readonly lastStartLowMs: number;
  readonly lastStartHighMs: number;
}

const second = 1000;

/**
 * Waves follow one another with the policy's pause; the hosts of a wave work side by side, the slowest counts.
 * Null when a host has no history: a guess would be taken for knowledge. Pure.
 */
export function planDuration(hosts: readonly PlanHost[], pauseS: number): PlanDuration | null {
  const waves = new Map<number, { low: number; high: number }>();
  for (const { included, wave, expectedSeconds } of hosts) {
    if (!included || wave === null) continue;
    if (expectedSeconds === null) return null;
    const { low, high } = waves.get(wave) ?? { low: 0, high: 0 };
    waves.set(wave, { low: Math.max(low, expectedSeconds.low), high: Math.max(high, expectedSeconds.high) });
  }
  const ordered = [...waves].sort(([a], [b]) => a - b).map(([, range]) => range);
  const last = ordered.at(-1);
  if (last === undefined) return null;
  const pauses = (ordered.length - 1) * pauseS;
  const sum = (pick: 'low' | 'high'): number =>
    (ordered.reduce((total, range) => total + range[pick], 0) + pauses) * second;
  const [lowMs, highMs] = [sum('low'), sum('high')];
  return {
    lowMs,
    highMs,
    lastStartLowMs: lowMs - last.low * second,
    lastStartHighMs: highMs - last.high * second,
  };
}
