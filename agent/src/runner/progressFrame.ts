import type { AgentFrame, Command } from '#contract/agent-link.ts';
import { asProse, type Progress } from './commandRunner.ts';

/** Where a command is, as the contract lets it through. */
export function progressFrame(command: Command, { phase, percent, lines }: Progress): AgentFrame {
  const at = new Date().toISOString();
  const { commandId, hostRunId } = command;
  const texts = lines.slice(-200).map((text) => ({ at, text: asProse(text, 2000) }));
  return { type: 'progress', commandId, hostRunId, phase: phase.slice(0, 80), percent, lines: texts };
}
