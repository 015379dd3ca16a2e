import type { AgentFrame } from '#contract/agent-link.ts';
import type { Identity } from '../enrol/identity.ts';
import { agentVersion } from '../version.ts';
import type { AgentParts } from './agentParts.ts';

/** What the agent says of itself when a connection opens: who it is, which boot it lives in, and what it left open. */
export function helloFrame(parts: AgentParts, identity: Identity, policyEpoch: number): AgentFrame {
  const { journal, memory, bootId, bootedAt } = parts;
  return {
    type: 'hello',
    agentVersion,
    bootId,
    bootedAt,
    generation: identity.record.generation,
    policyEpoch,
    lockSerial: memory.lockSerial,
    treeSize: memory.witnessed?.size ?? 0,
    lastResultSeq: journal.index.lastSeq,
    openCommands: journal.index
      .open()
      .slice(0, 1000)
      .map((entry) => entry.command.commandId),
  };
}
