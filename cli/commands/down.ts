import type { Command } from 'commander';
import { openLab } from '../../lab/lab.ts';
import { stopDaemon } from '../../stack/daemon.ts';
import type { CliContext } from '../context.ts';

/** `down`: shuts the lab's machines down and stops the services, dependants first; data and disks stay. */
export function registerDown(program: Command, context: CliContext): void {
  program
    .command('down')
    .description(
      context.text([
        'arrête les services et les machines du laboratoire ; les données restent',
        'stops the services and the lab’s machines; data stays',
      ]),
    )
    .action(async () => {
      const { stateDir } = context.directories;
      await openLab({ stateDir, log: () => undefined })?.stop();
      const stopped = await stopDaemon(stateDir);
      if (stopped) context.say(['Services arrêtés.', 'Services stopped.']);
      else context.say(['Rien ne tournait.', 'Nothing was running.']);
      context.answer({ stopped });
    });
}
