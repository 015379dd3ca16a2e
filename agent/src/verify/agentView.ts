import type { OrderStep, PolicyDocument } from '#contract/trust.ts';

/** Who this agent is, as settled at enrolment. */
export interface AgentSelf {
  readonly tenantId: string;
  readonly hostId: string;
  readonly agentId: string;
}

/** A step of a host run as the journal remembers it. */
export interface StepRecord {
  readonly step: OrderStep;
  readonly state: 'started' | 'succeeded' | 'failed';
}

/** What the agent knows of the emergency stop. */
export interface LockView {
  /** Local instant (ms) at which the server last spoke about the lock; null when it never did since the start. */
  readonly seenAtMs: number | null;
  readonly tenantLocked: boolean;
  readonly lockedRunIds: readonly string[];
}

/** A checkpoint of the audit log that the agent once verified. */
export interface SeenCheckpoint {
  readonly size: number;
  readonly root: string;
}

/** Everything a verification may look at besides the bytes it verifies: no clock, no disk, no network of its own. */
export interface AgentView {
  readonly self: AgentSelf;
  readonly policy: PolicyDocument;
  readonly nowMs: number;
  /** Latest instant proved by something signed, or by the agent's own journal (ms). */
  readonly timeFloorMs: number;
  readonly isKnownCommand: (commandId: string) => boolean;
  /** Highest fence accepted for a host run; 0 when none was. */
  readonly highestFence: (hostRunId: string) => number;
  /** Steps of this release and host run in the journal, oldest first. */
  readonly history: (releaseId: string, hostRunId: string) => readonly StepRecord[];
  readonly restartsLast24h: number;
  readonly lock: LockView;
  /** Checkpoints seen, newest last. */
  readonly checkpoints: readonly SeenCheckpoint[];
}
