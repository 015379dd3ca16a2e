import type { Command } from 'commander';
import { stopDaemon } from '../../stack/daemon.ts';
import type { CliContext } from '../context.ts';

/** `down`: stops the services, dependants first; data stays. */
export function registerDown(program: Command, context: CliContext): void {
  program
    .command('down')
    .description(
      context.text(['arrête les services ; les données restent', 'stops the services; data stays']),
    )
    .action(async () => {
      const stopped = await stopDaemon(context.directories.stateDir);
      if (stopped) context.say(['Services arrêtés.', 'Services stopped.']);
      else context.say(['Rien ne tournait.', 'Nothing was running.']);
      context.answer({ stopped });
    });
}
