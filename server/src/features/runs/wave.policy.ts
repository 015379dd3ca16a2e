import type { HostRunState } from '#contract/runs.ts';
import { isTerminal } from './host-run.model.ts';

/** One host's place in its wave. */
export interface WaveMember {
  readonly id: string;
  readonly wave: number;
  readonly state: HostRunState;
  readonly endedAtMs: number | null;
  /** It waits for a group, though its wave has begun. */
  readonly held?: boolean;
}

export type WaveState = 'waiting' | 'running' | 'pausing' | 'done' | 'stopped';

export interface WaveFacts {
  readonly wave: number;
  readonly members: readonly WaveMember[];
  readonly pauseS: number;
  /** When the wave before has ended, or the run began; null while that is not so. */
  readonly readyAtMs: number | null;
  /** The run is paused, being stopped, or at an end. */
  readonly held: boolean;
}

export function waveOf(members: readonly WaveMember[], wave: number): readonly WaveMember[] {
  return members.filter((member) => member.wave === wave);
}

/** When the last host of the wave ended; null while one is under way or waiting. */
export function endOfWave(members: readonly WaveMember[]): number | null {
  if (members.some(({ state }) => !isTerminal(state))) return null;
  return Math.max(...members.map(({ endedAtMs }) => endedAtMs ?? 0));
}

/** One word for a wave, and when it starts if that is known. */
export function describeWave(
  facts: WaveFacts,
  nowMs: number,
): { state: WaveState; startsAtMs: number | null } {
  const { members, readyAtMs, held } = facts;
  const ended = members.filter(({ state }) => isTerminal(state));
  const started = members.some(
    ({ state }) => state !== 'planned' && !['missed', 'cancelled'].includes(state),
  );
  if (ended.length === members.length) {
    return { state: started ? 'done' : 'stopped', startsAtMs: null };
  }
  if (started) return { state: 'running', startsAtMs: null };
  if (held) return { state: 'stopped', startsAtMs: null };
  if (readyAtMs === null) return { state: 'waiting', startsAtMs: null };
  const startsAtMs = readyAtMs + (facts.wave === 1 ? 0 : facts.pauseS * 1000);
  return { state: startsAtMs > nowMs ? 'pausing' : 'waiting', startsAtMs };
}
