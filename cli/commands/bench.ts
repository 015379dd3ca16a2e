import { spawn } from 'node:child_process';
import { Argument } from 'commander';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { wholeNumber } from '../usage.ts';

type Flags = Partial<Record<'commands' | 'agents' | 'minutes', string>>;

/** Scenarios by profile; each is a program of its own in bench/, with its figures as JSON on the last line. */
const profiles: Readonly<Record<string, string>> = {
  smoke: 'bench/smoke.ts',
  standard: 'bench/standard.ts',
  load: 'bench/load.ts',
  noisy: 'bench/noisy.ts',
  metrics: 'bench/metrics.ts',
  api: 'bench/api.ts',
};

/**
 * `bench [profile]`: measures on this machine. `smoke` compares the product with peers in the same session, status 1 when a
 * budget is not kept; `standard` measures what a long past and each connection cost; `load` offers commands at a constant rate, status 1 when one is lost or doubled;
 * `noisy` measures what a tenant waits beside one that asks twenty times as much;
 * `metrics` stores and packs a day of measures, status 1 when they take too much room;
 * `api` asks as people do on a large estate, status 1 when a request fails or a large table is read whole.
 */
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
      context.text([
        'nombre de commandes ; celles du passé (api)',
        'number of commands; those of the past (api)',
      ]),
      wholeNumber(context, { min: 64, max: 10_000_000 }),
    )
    .option(
      '--agents <n>',
      context.text([
        'nombre d’agents simulés ; hôtes par client (api)',
        'number of simulated agents; hosts of each tenant (api)',
      ]),
      wholeNumber(context, { min: 4, max: 5_000 }),
    )
    .option(
      '--minutes <n>',
      context.text(['durée de la charge (load)', 'how long the load lasts (load)']),
      wholeNumber(context, { min: 1, max: 1_440 }),
    )
    .description(
      context.text([
        'mesure le coût d’une commande à côté d’autres conceptions (smoke), une charge constante sans perte (load), la place des mesures (metrics) ou l’interface sur un grand parc (api)',
        'measures the cost of a command beside other designs (smoke), a constant load without loss (load), the room of measures (metrics), or the API on a large estate (api)',
      ]),
    )
    .action(async (profile: string, flags: Flags, command: Command) => {
      const script = profiles[profile];
      if (script === undefined) throw new Error(`no scenario for ${profile}`);
      if (flags.minutes !== undefined && profile !== 'load') {
        command.error(context.text(['--minutes ne va qu’avec load', '--minutes goes with load only']));
      }
      const given = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
      const args = [script, ...(context.json ? ['--json'] : []), ...given];
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
