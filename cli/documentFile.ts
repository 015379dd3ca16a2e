import { readFileSync } from 'node:fs';
import { exitCodes } from './exitCodes.ts';
import { CommandError } from './failures.ts';

/** What a JSON file asks for. Its form is the server's to judge; a file that is no JSON object is an error of usage. */
export function readDocument<T extends object>(file: string): T {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CommandError(
      [`fichier illisible : ${file}`, `the file cannot be read: ${file}`],
      exitCodes.usage,
      {
        detail: `  ${(error as Error).message}`,
        cause: error,
      },
    );
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as T;
  throw new CommandError(
    [`${file} ne contient pas un objet JSON`, `${file} holds no JSON object`],
    exitCodes.usage,
  );
}

/** The one that a person names by its identifier or its name. */
export function pickNamed<T extends { readonly id: string; readonly name: string }>(
  items: readonly T[],
  wanted: string,
): T {
  const found = items.find(({ id }) => id === wanted) ?? items.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  throw new CommandError([`rien ne s’appelle ${wanted}`, `nothing is called ${wanted}`], exitCodes.failed);
}
