import { hostHere } from './simulatedHost.ts';

/** Runs a program of the simulated host. */
export function runCommand(program: string, args: readonly string[]) {
  return hostHere().run(program, args);
}

/** Last lines of a text, short enough for a result's detail. */
export function tailOf(text: string, maxLength = 1500): string {
  return text.slice(-maxLength);
}
