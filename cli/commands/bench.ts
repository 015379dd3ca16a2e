import { spawn } from 'node:child_process';
import { Argument } from 'commander';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { wholeNumber } from '../usage.ts';

/** Scenarios by profile; each is a program of its own in bench/, with its figures as JSON on the last line. */
const profiles: Readonly<Record<string, string>> = { smoke: 'bench/smoke.ts' };

/** `bench [profile]`: measures on this machine, the product and the naive design in the same session. Status 1 when a budget is not kept. */
export function registerBench(program: Command, context: CliContext): void {
  program
    .command('bench')
    .addArgument(
      new Argument('[profile]', context.text(['profil', 'profile']))
        .choices(Object.keys(profiles))
        .default('smoke'),
    )
    .option(
      '--commands <n>',
      context.text(['nombre de commandes', 'number of commands']),
      wholeNumber(context, { min: 64, max: 1_000_000 }),
    )
    .option(
      '--agents <n>',
      context.text(['nombre d’agents simulés', 'number of simulated agents']),
      wholeNumber(context, { min: 4, max: 5_000 }),
    )
    .description(
      context.text([
        'mesure le coût d’une commande, à côté d’une conception naïve',
        'measures the cost of a command, beside a naive design',
      ]),
    )
    .action(async (profile: string, flags: { commands?: string; agents?: string }) => {
      const script = profiles[profile];
      if (script === undefined) throw new Error(`no scenario for ${profile}`);
      const args = [
        script,
        ...(context.json ? ['--json'] : []),
        ...(flags.commands === undefined ? [] : ['--commands', flags.commands]),
        ...(flags.agents === undefined ? [] : ['--agents', flags.agents]),
      ];
      const status = await run(context.directories.root, args);
      if (status !== 0) process.exitCode = status;
    });
}

function run(root: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
