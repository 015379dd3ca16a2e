import path from 'node:path';
import type { Command } from 'commander';
import { installMissing } from '../../stack/distribution.ts';
import { listStackPrerequisites, listSuitePrerequisites } from '../../stack/prerequisites.ts';
import type { CliContext } from '../context.ts';
import { runProgram } from '../suite.ts';
import { wholeNumber } from '../usage.ts';

interface FaultsFlags {
  readonly only?: string;
  readonly smoke?: true;
  readonly seed?: string;
  readonly writeDocs?: true;
}

/**
 * `faults`: provokes faults on the real services under load and judges what became of every command. Status 1 when a
 * promise was broken; faults that cannot be provoked here are listed with the reason.
 */
export function registerFaults(program: Command, context: CliContext): void {
  program
    .command('faults')
    .description(
      context.text([
        'provoque des pannes sur les vrais services : arrêts brutaux, disques pleins, coupures, horloges',
        'provokes faults on the real services: kills, full disks, cuts, clocks',
      ]),
    )
    .option('--only <ids>', context.text(['celles-ci seulement, comme F08,F09', 'these only, as F08,F09']))
    .option('--smoke', context.text(['le choix court de tous les jours', 'the short choice of every day']))
    .option(
      '--seed <n>',
      context.text(['graine du hasard', 'seed of chance']),
      wholeNumber(context, { min: 0, max: 2 ** 31 }),
    )
    .option('--write-docs', context.text(['écrit docs/faults.md', 'writes docs/faults.md']))
    .action(async (flags: FaultsFlags) => {
      const { directories } = context;
      await prepare(context);
      const script = path.join(directories.root, 'test', 'faults', 'faults.main.ts');
      const line = [process.execPath, script, ...(context.json ? ['--json'] : [])];
      if (flags.only !== undefined) line.push('--only', flags.only);
      if (flags.seed !== undefined) line.push('--seed', flags.seed);
      if (flags.smoke === true) line.push('--smoke');
      if (flags.writeDocs === true) line.push('--write-docs');
      const run = await runProgram(directories, line);
      process.exitCode = run.exitCode;
    });
}

/** Installs what single faults need of the distribution. */
async function prepare(context: CliContext): Promise<void> {
  const { directories } = context;
  const redis = listStackPrerequisites(directories).filter(({ name }) => name === 'Redis');
  const missing = [...redis, ...listSuitePrerequisites('faults')].filter((one) => !one.isPresent());
  await installMissing({ stateDir: directories.stateDir, missing, say: context.say });
}
