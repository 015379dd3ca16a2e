import { Compile } from 'typebox/compile';
import { AgentFrame, type ServerFrame } from '#contract/agent-link.ts';

/** A frame that does not fit the contract: the connection ends. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FrameError';
  }
}

const checks = new Map(
  AgentFrame.anyOf.map((member) => [member.properties.type.const as string, Compile(member)] as const),
);

/** Reads one frame of an agent. Throws FrameError that names the place, never the content. */
export function parseAgentFrame(text: string): AgentFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FrameError('a frame is not JSON');
  }
  const type: unknown =
    typeof value === 'object' && value !== null ? (value as { type?: unknown }).type : undefined;
  const check = typeof type === 'string' ? checks.get(type) : undefined;
  if (check === undefined) throw new FrameError('a frame of no known type');
  if (!check.Check(value)) {
    const [first] = check.Errors(value);
    throw new FrameError(
      `a ${String(type)} frame is malformed at ${first?.instancePath ?? ''}: ${first?.keyword ?? ''}`,
    );
  }
  return value as AgentFrame;
}

const maxCommandsPerFrame = 500;

/** Joins neighbouring `commands` frames, so that what was decided in one turn leaves as one frame; the order stays. */
export function coalesce(frames: readonly ServerFrame[]): ServerFrame[] {
  const joined: ServerFrame[] = [];
  for (const frame of frames) {
    const last = joined.at(-1);
    if (
      frame.type === 'commands' &&
      last?.type === 'commands' &&
      last.commands.length + frame.commands.length <= maxCommandsPerFrame
    ) {
      joined[joined.length - 1] = { type: 'commands', commands: [...last.commands, ...frame.commands] };
    } else {
      joined.push(frame);
    }
  }
  return joined;
}
