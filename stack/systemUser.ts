import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { StackError } from './text.ts';

export type SystemUser = { name: string; uid: number; gid: number };

function findUser(name: string): SystemUser | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${name}:`));
  const fields = line?.split(':');
  return fields === undefined ? undefined : { name, uid: Number(fields[2]), gid: Number(fields[3]) };
}

/** The user PostgreSQL runs as: it refuses root. Undefined when we are not root and run it as ourselves. */
export function ensurePostgresUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const existing = findUser('postgres');
  if (existing !== undefined) return existing;
  spawnSync('useradd', [
    '--system',
    '--user-group',
    '--no-create-home',
    '--shell',
    '/usr/sbin/nologin',
    'postgres',
  ]);
  const made = findUser('postgres');
  if (made !== undefined) return made;
  throw new StackError([
    'PostgreSQL refuse de tourner en root et l’utilisateur système « postgres » n’a pas pu être créé : useradd --system postgres',
    "PostgreSQL refuses to run as root and the system user 'postgres' could not be made: useradd --system postgres",
  ]);
}

/** True when every folder down to the target lets that user through. */
export function canReach(user: SystemUser, target: string): boolean {
  for (let folder = path.resolve(target); ; folder = path.dirname(folder)) {
    const stat = statSync(folder);
    const bit = stat.uid === user.uid ? 0o100 : stat.gid === user.gid ? 0o010 : 0o001;
    if ((stat.mode & bit) === 0) return false;
    if (folder === path.dirname(folder)) return true;
  }
}
