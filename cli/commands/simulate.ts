import path from 'node:path';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { runProgram } from '../suite.ts';
import { wholeNumber } from '../usage.ts';

interface SimulateFlags {
  readonly seed?: string;
  readonly seeds?: string;
  readonly minutes?: string;
  readonly worlds?: string;
  readonly planted?: true;
  readonly nightly?: true;
}

const nightlySeeds = '20000';

/**
 * `simulate`: lives seeded histories of server, agents, disks, network and people with mishaps, and judges each.
 * Status 1 when a promise was broken, or when a planted mistake was not seen.
 */
export function registerSimulate(program: Command, context: CliContext): void {
  const number = (max: number) => wholeNumber(context, { min: 1, max });
  program
    .command('simulate')
    .description(
      context.text([
        'cherche des défauts dans des histoires simulées : pannes, coupures, horloges, disques',
        'hunts for faults in simulated histories: crashes, cuts, clocks, disks',
      ]),
    )
    .option('--seed <n>', context.text(['première graine', 'first seed']), number(2 ** 31))
    .option('--seeds <n>', context.text(['nombre de graines', 'number of seeds']), number(1_000_000))
    .option(
      '--minutes <n>',
      context.text(['durée des intempéries de chaque graine', 'how long each seed is unkind']),
      number(600),
    )
    .option(
      '--worlds <kind>',
      context.text([
        'sorte de mondes, par exemple drained ou slow',
        'kind of worlds, such as drained or slow',
      ]),
    )
    .option(
      '--planted',
      context.text([
        'plante chaque faute connue et vérifie qu’elle se voit',
        'plants each known mistake and looks whether it is seen',
      ]),
    )
    .option('--nightly', context.text([`${nightlySeeds} graines`, `${nightlySeeds} seeds`]))
    .action(async (flags: SimulateFlags) => {
      const { directories } = context;
      const script = path.join(directories.root, 'test', 'simulation', 'simulate.main.ts');
      const line = [process.execPath, script, ...(context.json ? ['--json'] : [])];
      if (flags.planted === true) line.push('--planted');
      const seeds = flags.nightly === true ? nightlySeeds : flags.seeds;
      if (flags.seed !== undefined) line.push('--seed', String(flags.seed));
      if (seeds !== undefined) line.push('--seeds', String(seeds));
      if (flags.minutes !== undefined) line.push('--minutes', String(flags.minutes));
      if (flags.worlds !== undefined) line.push('--worlds', flags.worlds);
      const run = await runProgram(directories, line);
      process.exitCode = run.exitCode;
    });
}
