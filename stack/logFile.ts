import { existsSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';

const rotateBytes = 16 << 20;

export function logFileOf(stateDir: string, name: string): string {
  return path.join(stateDir, 'logs', `${name}.log`);
}

/** A descriptor to append to; a log that grew too long is put aside once, so that logs stay bounded. */
export function openLog(stateDir: string, name: string): number {
  const file = logFileOf(stateDir, name);
  mkdirSync(path.dirname(file), { recursive: true });
  if (existsSync(file) && statSync(file).size > rotateBytes) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o640);
}
