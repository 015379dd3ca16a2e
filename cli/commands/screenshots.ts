import path from 'node:path';
import type { Command } from 'commander';
import { findSupervisor, readStatus } from '../../stack/daemonState.ts';
import { installMissing } from '../../stack/distribution.ts';
import { readJson } from '../../stack/files.ts';
import { listSuitePrerequisites } from '../../stack/prerequisites.ts';
import { createWebTask, findWebFolder } from '../../stack/web.task.ts';
import type { CliContext } from '../context.ts';
import { runProgram } from '../suite.ts';

type Summary = { pictures?: number; complaints?: number };
type ScreenshotFlags = { out?: string; only?: string; looks?: string };

/** `screenshots`: a picture of every page in every look, over a simulated client, with axe's verdict on each. */
export function registerScreenshots(program: Command, context: CliContext): void {
  program
    .command('screenshots')
    .description(
      context.text([
        'photographie chaque page : deux langues, trois thèmes, écran et téléphone, contrôlée par axe',
        'pictures of every page: two languages, three themes, desktop and phone, checked by axe',
      ]),
    )
    .option(
      '--out <dir>',
      context.text([
        'dossier des images (sinon screenshots/ du répertoire d’état)',
        'folder of the pictures (else screenshots/ in the state directory)',
      ]),
    )
    .option(
      '--only <names>',
      context.text([
        'seulement ces pages, séparées par des virgules',
        'only these pages, separated by commas',
      ]),
    )
    .option(
      '--looks <names>',
      context.text([
        'seulement ces aspects, par exemple fr-light-wide',
        'only these looks, for example fr-light-wide',
      ]),
    )
    .action(async (flags: ScreenshotFlags) => {
      try {
        await takeScreenshots(context, flags);
      } catch (error) {
        context.fail(error);
      }
    });
}

async function takeScreenshots(context: CliContext, flags: ScreenshotFlags): Promise<void> {
  const { directories, say } = context;
  const missing = listSuitePrerequisites('e2e').filter((one) => !one.isPresent());
  await installMissing({ stateDir: directories.stateDir, missing, say });
  const webDir = findWebFolder(directories);
  await createWebTask(directories, webDir).run({ report: say, signal: new AbortController().signal });
  const out = path.resolve(flags.out ?? path.join(directories.stateDir, 'screenshots'));
  // The identity provider's own pages are there to be pictured only while the services run.
  const running = findSupervisor(directories.stateDir) !== undefined;
  const url = running ? readStatus(directories.stateDir)?.publicUrl : undefined;
  const script = path.join(directories.root, 'test', 'e2e', 'screenshots.main.ts');
  const line = [process.execPath, script, '--axe', '--web', webDir, '--out', out];
  if (flags.only !== undefined) line.push('--only', flags.only);
  if (flags.looks !== undefined) line.push('--looks', flags.looks);
  if (url !== undefined) line.push('--services', url);
  const run = await runProgram(directories, line);
  process.exitCode = run.exitCode;
  const { pictures = 0, complaints = 0 } = readJson<Summary>(path.join(out, 'summary.json')) ?? {};
  say([
    `${pictures} images, ${complaints} défaut(s) : ${out}`,
    `${pictures} pictures, ${complaints} fault(s): ${out}`,
  ]);
  context.answer({ pictures, complaints, out });
}
