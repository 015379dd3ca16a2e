import type { Command } from 'commander';
import { startDaemon, stopDaemon, waitUntilReady } from '../../stack/daemon.ts';
import { findSupervisor } from '../../stack/daemonState.ts';
import type { StackStatus } from '../../stack/daemonState.ts';
import { installMissing } from '../../stack/distribution.ts';
import { isRunning } from '../../stack/ownProcess.ts';
import type { OwnProcess } from '../../stack/ownProcess.ts';
import { listStackPrerequisites } from '../../stack/prerequisites.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { createProgress } from '../progress.ts';

/** The story of `up --demo`: makes its lab, does the main job on it and returns the facts of the last line. */
export type DemoStory = {
  /** Called before the services start: installs what the lab needs. */
  prepare: (context: CliContext) => Promise<void>;
  run: (context: CliContext, status: StackStatus) => Promise<Record<string, unknown>>;
};

type UpFlags = { demo?: boolean; foreground?: boolean };

/** `up`: installs what is missing, starts every service in the background and returns when all answer. */
export function registerUp(program: Command, context: CliContext, story?: DemoStory): void {
  const command = program
    .command('up')
    .description(
      context.text([
        'démarre les services et rend la main quand tout répond',
        'starts the services and returns when all answer',
      ]),
    )
    .option(
      '--foreground',
      context.text(['garde le terminal ; Ctrl+C arrête tout', 'holds the terminal; Ctrl+C stops all']),
    );
  if (story !== undefined) {
    command.option(
      '--demo',
      context.text([
        'crée un laboratoire et y fait le travail complet',
        'makes a lab and does the whole job on it',
      ]),
    );
  }
  command.action(async (flags: UpFlags) => {
    try {
      await bringUp(context, flags, story);
    } catch (error) {
      context.fail(error);
    }
  });
}

async function bringUp(context: CliContext, flags: UpFlags, story: DemoStory | undefined): Promise<void> {
  const { directories } = context;
  const missing = listStackPrerequisites(directories).filter((one) => !one.isPresent());
  try {
    await installMissing({ stateDir: directories.stateDir, missing, say: context.say });
  } catch (error) {
    return context.fail(error, exitCodes.missing);
  }
  const demo = flags.demo === true ? story : undefined;
  await demo?.prepare(context);
  const isUp = findSupervisor(directories.stateDir) !== undefined;
  context.say(
    isUp
      ? ['Les services tournent déjà.', 'The services are running already.']
      : ['Démarrage des services…', 'Starting the services…'],
  );
  const supervisor = startDaemon(directories);
  const progress = createProgress(context);
  const status = await waitUntilReady(directories.stateDir, supervisor, progress.show);
  sayReady(context, status);
  const facts = await demo?.run(context, status);
  context.answer({
    url: status.publicUrl,
    readyMs: status.readyAfterMs,
    stateDir: directories.stateDir,
    ...facts,
  });
  if (flags.foreground === true) await holdTerminal(context, supervisor);
}

function sayReady(context: CliContext, status: StackStatus): void {
  const seconds = ((status.readyAfterMs ?? 0) / 1000).toFixed(1);
  context.say([`Tout répond (${seconds} s).`, `All services answer (${seconds} s).`]);
  context.say('');
  context.say([`  Adresse : ${status.publicUrl}`, `  Address: ${status.publicUrl}`]);
  context.say([
    '  Journaux : ./atlas logs    État : ./atlas status    Arrêt : ./atlas down',
    '  Logs: ./atlas logs    State: ./atlas status    Stop: ./atlas down',
  ]);
}

/** Waits for Ctrl+C, then stops; ends too when the services are stopped from elsewhere. */
async function holdTerminal(context: CliContext, supervisor: OwnProcess): Promise<void> {
  context.say(['Ctrl+C arrête les services.', 'Ctrl+C stops the services.']);
  await new Promise<void>((resolve) => {
    const watch = setInterval(() => isRunning(supervisor) || resolve(), 500);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
    void Promise.resolve().then(() => watch.ref());
  });
  await stopDaemon(context.directories.stateDir);
  process.exit(process.exitCode ?? exitCodes.ok);
}
