import { randomUUID } from 'node:crypto';
import type { Command } from '#contract/agent-link.ts';
import type { ResultCode } from '#contract/results.ts';
import type { Order } from '#contract/trust.ts';
import type { AgentView, StepRecord } from '../../agent/src/verify/agentView.ts';
import { verifyReleasedCommand } from '../../agent/src/verify/command.verify.ts';
import { commandFor, createWorld, releaseFor, sampleOrders } from './release-world.ts';
import type { ReleaseBend, Released } from './release-world.ts';
import { createEd25519Key } from './software-key.ts';

export const world = createWorld();
export const hostRunId = randomUUID();
export const guarded: StepRecord[] = [
  { step: 'preflight', state: 'succeeded' },
  { step: 'guard', state: 'succeeded' },
];
export const installed: StepRecord[] = [...guarded, { step: 'install', state: 'succeeded' }];

/** What an agent knows that has nothing against an installation now, except for the bend. */
export function viewOf(bend: Partial<AgentView> & { past?: readonly StepRecord[] } = {}): AgentView {
  const nowMs = Date.now();
  return {
    self: { tenantId: world.tenantId, hostId: world.hostId, agentId: world.agentId },
    policy: world.policy,
    nowMs,
    timeFloorMs: nowMs - 1000,
    isKnownCommand: () => false,
    highestFence: () => 0,
    history: () => bend.past ?? guarded,
    restartsLast24h: 0,
    lock: { seenAtMs: nowMs - 1000, tenantLocked: false, lockedRunIds: [] },
    checkpoints: [],
    ...bend,
  };
}

/** What a test bends about one command that would be accepted as it stands. */
export interface Case {
  readonly step?: Order['step'];
  readonly bend?: () => ReleaseBend;
  readonly view?: () => AgentView;
  readonly command?: Partial<Command>;
  readonly released?: (released: Released) => Released;
}

/** The agent's verdict on a release and command built with the bends. */
export function codeOf(test: Case): ResultCode | 'accepted' {
  const plain = releaseFor(world, test.bend?.() ?? {});
  const released = test.released?.(plain) ?? plain;
  const command = { ...commandFor(released, test.step ?? 'install', hostRunId), ...test.command };
  const verdict = verifyReleasedCommand(command, released.bundle, test.view?.() ?? viewOf());
  return 'code' in verdict ? verdict.code : 'accepted';
}

export const key = (n: number) => world.people[n]?.key ?? createEd25519Key();
export const inPast = (ms: number) => new Date(Date.now() - ms).toISOString();
export const inFuture = (ms: number) => new Date(Date.now() + ms).toISOString();
export const replaceOrder = (order: Order) =>
  sampleOrders.map((one) => (one.step === order.step ? order : one));
