import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** Replaces a file whole: a reader sees the old content or the new one, never a half. */
export function writeWhole(file: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const fresh = `${file}.${process.pid}.new`;
  writeFileSync(fresh, content, { mode });
  renameSync(fresh, file);
}

export function writeJson(file: string, value: unknown, mode = 0o644): void {
  writeWhole(file, `${JSON.stringify(value, null, 2)}\n`, mode);
}

/** The parsed file, or undefined when it does not exist or was cut short by a crash. */
export function readJson<T>(file: string): T | undefined {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The last lines of a log, for people; empty when there is none. */
export function readTail(file: string, lineCount: number): string {
  if (!existsSync(file)) return '';
  const tail = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lineCount).join('\n');
  return stripVTControlCharacters(tail);
}
