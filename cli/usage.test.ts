import { Argument, Command, CommanderError, Option } from 'commander';
import { describe, expect, it } from 'vitest';
import { createContext } from './context.ts';
import { translateUsage, wholeNumber } from './usage.ts';

/** What a person reads who gives these arguments. */
function complaintOf(args: string[], language: 'fr' | 'en'): string {
  const context = createContext(['--lang', language], {});
  let said = '';
  const program = new Command('atlas').exitOverride();
  program.configureOutput({ outputError: (text) => (said += translateUsage(context, text)) });
  const run = program.command('run').copyInheritedSettings(program);
  run.argument('[name]').option('--count <n>', 'how many', wholeNumber(context, { min: 1, max: 9 }));
  program
    .command('bench')
    .copyInheritedSettings(program)
    .addArgument(new Argument('profile').choices(['smoke']));
  run.addOption(new Option('--state <state>').choices(['on', 'off'])).requiredOption('--reason <text>');
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
  }
  return said;
}

describe('wrong usage', () => {
  it.each([
    [['walk'], 'commande inconnue : « walk »'],
    [['run', '--fast', '--reason', 'x'], 'option inconnue : « --fast »'],
    [['bench', 'x'], 'valeur refusée pour « profile » : x ; possibles : smoke'],
    [['bench'], 'argument obligatoire absent : « profile »'],
    [['run'], 'option obligatoire absente : « --reason <text> »'],
    [['run', '--reason'], 'valeur absente après l’option « --reason <text> »'],
    [['run', 'a', 'b', '--reason', 'x'], 'arguments en trop pour « run » : a, b'],
    [
      ['run', '--state', 'up', '--reason', 'x'],
      'valeur refusée pour « --state <state> » : up ; possibles : on, off',
    ],
    [
      ['run', '--count', '12', '--reason', 'x'],
      'valeur refusée pour « --count <n> » : 12 ; il faut un nombre entier de 1 à 9.',
    ],
    [
      ['run', '--count', '-1', '--reason', 'x'],
      'valeur refusée pour « --count <n> » : -1 ; il faut un nombre entier de 1 à 9.',
    ],
  ])('%j is explained in French', (args, words) => {
    expect(complaintOf(args, 'fr')).toBe(`Erreur : ${words}\nVoir : ./atlas --help\n`);
  });

  it('is explained in English too', () => {
    expect(complaintOf(['walk'], 'en')).toBe("Error: unknown command 'walk'\nSee: ./atlas --help\n");
    expect(complaintOf(['run', '--count', 'x', '--reason', 'y'], 'en')).toContain(
      'A whole number from 1 to 9 is needed.',
    );
  });
});
