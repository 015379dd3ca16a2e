import { Command, CommanderError, Option } from 'commander';
import { registerCommands } from './commands.ts';
import { createContext } from './context.ts';
import { exitCodes, exitCodesHelp } from './exitCodes.ts';
import { translateHelp } from './help.ts';
import { translateUsage } from './usage.ts';

const args = process.argv.slice(2);
const context = createContext(args, process.env);

const program = new Command('atlas')
  .description(
    context.text([
      'ATLAS ORCHESTRATOR : planifie, fait signer, exécute, annule et prouve la maintenance de serveurs.',
      'ATLAS ORCHESTRATOR: plans, releases, executes, rolls back and proves maintenance of servers.',
    ]),
  )
  .addOption(
    new Option(
      '--lang <language>',
      context.text(['langue de l’affichage', 'language of the output']),
    ).choices(['fr', 'en']),
  )
  .option('--json', context.text(['réponse lisible par un programme', 'an answer for programs']))
  .addHelpText('after', context.text(exitCodesHelp));

registerCommands(program, context);
translateHelp(program, context);

/** Errors of usage end with status 2; commander has said them already, in the person's language. */
function exitOnUsage(command: Command): void {
  command.exitOverride();
  command.configureOutput({ outputError: (text, write) => write(translateUsage(context, text)) });
  for (const child of command.commands) exitOnUsage(child);
}
exitOnUsage(program);

try {
  if (args.length === 0) program.outputHelp();
  else await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
  else context.fail(error);
}
