import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { resetLab } from '../../lab/reset-lab.ts';
import { stopDaemon } from '../../stack/daemon.ts';
import type { Directories } from '../../stack/directories.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { CommandError, guarded } from '../failures.ts';

type ResetFlags = { cache?: boolean };

// What `up` and `lab` leave in a state directory; a folder without any of it is somebody’s own.
const ownMarks = ['ports.json', 'secrets', 'run', 'lab', 'cache'];

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
    .action(
      guarded(context, async (flags: ResetFlags) => {
        const { stateDir, cacheDir } = context.directories;
        requireOwnDirectory(context.directories);
        await stopDaemon(stateDir);
        if (existsSync(path.join(stateDir, 'lab'))) await resetLab(stateDir);
        removeState(stateDir, flags.cache === true ? undefined : cacheDir);
        context.say([`Effacé : ${stateDir}`, `Removed: ${stateDir}`]);
        context.answer({ removed: stateDir });
      }),
    );
}

/** A wrong ATLAS_STATE_DIR must not cost anybody a folder. */
function requireOwnDirectory({ stateDir, root }: Directories): void {
  if (!existsSync(stateDir)) return;
  const names = readdirSync(stateDir);
  const holdsProgram = `${root}${path.sep}`.startsWith(`${stateDir.replace(/\/$/, '')}${path.sep}`);
  if (!holdsProgram && (names.length === 0 || ownMarks.some((mark) => names.includes(mark)))) return;
  throw new CommandError(
    [
      `${stateDir} n’est pas un répertoire d’état d’ATLAS : rien n’est effacé`,
      `${stateDir} is no state directory of ATLAS: nothing is removed`,
    ],
    exitCodes.usage,
  );
}

function removeState(stateDir: string, keptDir: string | undefined): void {
  if (!existsSync(stateDir)) return;
  for (const name of readdirSync(stateDir)) {
    const entry = path.join(stateDir, name);
    if (entry !== keptDir) rmSync(entry, { recursive: true, force: true });
  }
  if (readdirSync(stateDir).length === 0) rmSync(stateDir, { recursive: true });
}
