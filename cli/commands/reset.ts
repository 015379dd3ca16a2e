import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { resetLab } from '../../lab/reset-lab.ts';
import { stopDaemon } from '../../stack/daemon.ts';
import type { CliContext } from '../context.ts';

type ResetFlags = { yes?: boolean; cache?: boolean };

/** `reset`: stops all and removes the state directory, lab machines included. Downloads stay unless `--cache`. */
export function registerReset(program: Command, context: CliContext): void {
  program
    .command('reset')
    .description(
      context.text([
        'arrête tout et efface le répertoire d’état : bases, secrets, laboratoire',
        'stops all and removes the state directory: databases, secrets, lab',
      ]),
    )
    .option('--cache', context.text(['efface aussi les téléchargements', 'removes the downloads too']))
    .action(async (flags: ResetFlags) => {
      const { stateDir, cacheDir } = context.directories;
      await stopDaemon(stateDir);
      if (existsSync(path.join(stateDir, 'lab'))) await resetLab(stateDir);
      removeState(stateDir, flags.cache === true ? undefined : cacheDir);
      context.say([`Effacé : ${stateDir}`, `Removed: ${stateDir}`]);
      context.answer({ removed: stateDir });
    });
}

function removeState(stateDir: string, keptDir: string | undefined): void {
  if (!existsSync(stateDir)) return;
  for (const name of readdirSync(stateDir)) {
    const entry = path.join(stateDir, name);
    if (entry !== keptDir) rmSync(entry, { recursive: true, force: true });
  }
  if (readdirSync(stateDir).length === 0) rmSync(stateDir, { recursive: true });
}
