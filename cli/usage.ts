import { InvalidArgumentError } from 'commander';
import type { CliContext } from './context.ts';

// What commander says of wrong usage, in French; it knows English only.
const phrases: readonly (readonly [pattern: RegExp, french: string])[] = [
  [/^error: unknown command '(.*)'/, 'commande inconnue : « $1 »'],
  [/^error: unknown option '(.*)'/, 'option inconnue : « $1 »'],
  [/^error: required option '(.*)' not specified/, 'option obligatoire absente : « $1 »'],
  [/^error: missing required argument '(.*)'/, 'argument obligatoire absent : « $1 »'],
  [/^error: option '(.*)' argument missing/, 'valeur absente après l’option « $1 »'],
  [
    /^error: too many arguments for '(.*)'\. Expected (\d+).*but got \d+: (.*)\.$/m,
    'arguments en trop pour « $1 » : $3',
  ],
  [/^error: too many arguments\. .*$/m, 'arguments en trop'],
  [
    /^error: option '(.*?)' argument '(.*?)' is invalid\. Allowed choices are (.*)\.$/m,
    'valeur refusée pour « $1 » : $2 ; possibles : $3',
  ],
  [/^error: option '(.*?)' argument '(.*?)' is invalid\. (.*)$/m, 'valeur refusée pour « $1 » : $2 ; $3'],
  [
    /^error: command-argument value '(.*?)' is invalid for argument '(.*?)'\. Allowed choices are (.*)\.$/m,
    'valeur refusée pour « $2 » : $1 ; possibles : $3',
  ],
  [/\(Did you mean (?:one of )?(.*)\?\)/, '(peut-être : $1)'],
];

/** An error of usage in the person's language, with the way to the help. */
export function translateUsage(context: CliContext, message: string): string {
  const said = message.trimEnd();
  if (context.language === 'en') return `${said}\nSee: ./atlas --help\n`.replace(/^error:/, 'Error:');
  const french = phrases.reduce((text, [pattern, words]) => text.replace(pattern, words), said);
  return `Erreur : ${french}\nVoir : ./atlas --help\n`;
}

/** Reads a whole number within bounds; anything else is an error of usage. */
export function wholeNumber(context: CliContext, { min, max }: { min: number; max: number }) {
  return (text: string): string => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return text;
    throw new InvalidArgumentError(
      context.text([
        `il faut un nombre entier de ${min} à ${max}.`,
        `A whole number from ${min} to ${max} is needed.`,
      ]),
    );
  };
}
