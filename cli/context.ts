import { findDirectories } from '../stack/directories.ts';
import type { Directories } from '../stack/directories.ts';
import { pick, StackError } from '../stack/text.ts';
import type { Language, Text } from '../stack/text.ts';
import { exitCodes } from './exitCodes.ts';

/** What every command is given. */
export type CliContext = {
  language: Language;
  /** True under `--json`: people's text goes to standard error, standard output holds JSON only. */
  json: boolean;
  directories: Directories;
  /** The text in the person's language. */
  text: (text: Text) => string;
  /** A line for the person. */
  say: (text: Text | string) => void;
  /** The answer for a program: one line of JSON on standard output; nothing without `--json`. */
  answer: (value: unknown) => void;
  /** Says why a command ends badly and sets the exit status. */
  fail: (error: unknown, exitCode?: number) => void;
};

/** French when the settings say so, English otherwise; `--lang` wins over ATLAS_LANG, which wins over LANG. */
export function chooseLanguage(args: string[], env: NodeJS.ProcessEnv): Language {
  const flag = args.findIndex((arg) => arg === '--lang');
  const given = flag >= 0 ? args[flag + 1] : args.find((arg) => arg.startsWith('--lang='))?.slice(7);
  const wish = given ?? env.ATLAS_LANG ?? env.LC_ALL ?? env.LC_MESSAGES ?? env.LANG ?? '';
  return wish.toLowerCase().startsWith('fr') ? 'fr' : 'en';
}

export function createContext(args: string[], env: NodeJS.ProcessEnv): CliContext {
  const language = chooseLanguage(args, env);
  const json = args.includes('--json');
  const text = (both: Text): string => pick(both, language);
  const say = (line: Text | string): void => {
    const stream = json ? process.stderr : process.stdout;
    stream.write(`${typeof line === 'string' ? line : text(line)}\n`);
  };
  const fail = (error: unknown, exitCode: number = exitCodes.failed): void => {
    process.stderr.write(`${describe(error, text)}\n`);
    process.exitCode = exitCode;
  };
  return {
    language,
    json,
    directories: findDirectories(env),
    text,
    say,
    answer: (value) => void (json && process.stdout.write(`${JSON.stringify(value)}\n`)),
    fail,
  };
}

function describe(error: unknown, text: (both: Text) => string): string {
  if (error instanceof StackError) {
    const title = text(['Erreur', 'Error']);
    return error.detail === ''
      ? `${title}: ${text(error.text)}`
      : `${title}: ${text(error.text)}\n${error.detail}`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
