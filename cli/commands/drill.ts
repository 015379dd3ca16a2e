import type { Command } from 'commander';
import { readStatus } from '../../stack/daemonState.ts';
import { installMissing } from '../../stack/distribution.ts';
import { listSuitePrerequisites } from '../../stack/prerequisites.ts';
import { StackError } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { runDrill } from '../drill/drill.ts';
import type { DrillFacts } from '../drill/drill.ts';
import { exitCodes } from '../exitCodes.ts';
import { guarded } from '../failures.ts';
import { renderTable } from '../table.ts';
import { wholeNumber } from '../usage.ts';

/**
 * `drill`: one run over twelve real machines in three groups with every mishap at once, on the services that `up` has
 * started. Status 1 when ATLAS and the machines do not tell the same story.
 */
export function registerDrill(program: Command, context: CliContext): void {
  program
    .command('drill')
    .description(
      context.text([
        'exercice : douze vraies machines, toutes les pannes à la fois',
        'drill: twelve real machines, every mishap at once',
      ]),
    )
    .option(
      '--minutes <n>',
      context.text(['durée de la fenêtre de maintenance', 'length of the maintenance window']),
      wholeNumber(context, { min: 5, max: 120 }),
      '15',
    )
    .action(
      guarded(context, async (flags: { readonly minutes: string }) => {
        const baseUrl = readStatus(context.directories.stateDir)?.publicUrl;
        if (baseUrl === undefined) {
          throw new StackError([
            'aucun service ne tourne ici : lancez « ./atlas up --demo » d’abord',
            'no services run here: start them with "./atlas up --demo" first',
          ]);
        }
        const missing = listSuitePrerequisites('lab').filter((one) => !one.isPresent());
        await installMissing({ stateDir: context.directories.stateDir, missing, say: context.say });
        const facts = await runDrill(context, { baseUrl, minutes: Number(flags.minutes) });
        sayFacts(context, facts);
        if (!facts.ok) process.exitCode = exitCodes.failed;
      }),
    );
}

function sayFacts(context: CliContext, facts: DrillFacts): void {
  const { hosts, overBudget, auditVerified, serverKills } = facts;
  const rows = hosts.map(({ hostname, state, reason, version, serves, agrees }) => [
    ...[agrees ? '✓' : '✗', hostname, state, reason ?? '', version],
    context.text(serves ? ['répond', 'serves'] : ['NE RÉPOND PAS', 'DOES NOT SERVE']),
  ]);
  const head = context.text(['hôte|état|raison|version|service', 'host|state|reason|version|service']);
  for (const line of renderTable([['', ...head.split('|')], ...rows])) context.say(`  ${line}`);
  for (const line of overBudget)
    context.say([`  ✗ budget dépassé : ${line}`, `  ✗ budget exceeded: ${line}`]);
  const log: string = context.text(
    auditVerified ? ['journal vérifié', 'log verified'] : ['journal NON VÉRIFIÉ', 'log NOT VERIFIED'],
  );
  context.say([
    `Serveur tué ${serverKills} fois, ${log}, ${hosts.filter(({ agrees }) => agrees).length} machines sur ${hosts.length} disent ce que dit ATLAS.`,
    `Server killed ${serverKills} times, ${log}, ${hosts.filter(({ agrees }) => agrees).length} of ${hosts.length} machines say what ATLAS says.`,
  ]);
  context.answer(facts);
}
