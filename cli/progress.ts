import type { StackStatus } from '../stack/daemonState.ts';
import type { CliContext } from './context.ts';

/** Tells each change of a unit once, one line a change, so that a log of the command reads well too. */
export function createProgress(context: CliContext): { show: (status: StackStatus) => void } {
  const told = new Map<string, string>();
  return {
    show: ({ units }) => {
      for (const [name, unit] of Object.entries(units)) {
        const line = describe(context, name, unit);
        if (line === undefined || told.get(name) === line) continue;
        told.set(name, line);
        context.say(line);
      }
    },
  };
}

function describe(context: CliContext, name: string, unit: StackStatus['units'][string]): string | undefined {
  const padded = name.padEnd(10);
  if (unit.state === 'ready') {
    const seconds = ((unit.readyAfterMs ?? 0) / 1000).toFixed(1);
    return `  ✓ ${padded} ${context.text([`prêt (${seconds} s)`, `ready (${seconds} s)`])}`;
  }
  if (unit.state === 'failed') return `  ✗ ${padded} ${context.text(['échec', 'failed'])}`;
  return unit.text === undefined ? undefined : `  … ${padded} ${context.text(unit.text)}`;
}
