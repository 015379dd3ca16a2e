import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { writeWhole } from './files.ts';

const passwordNames = [
  'postgres-superuser',
  'database-app',
  'database-system',
  'database-owner',
  'database-keycloak',
  'redis',
  'keycloak-admin',
] as const;
export type PasswordName = (typeof passwordNames)[number];

/** Files that hold the secrets of one installation, each readable by its owner only. */
export type Secrets = {
  fileOf(name: PasswordName): string;
  read(name: PasswordName): string;
  /** 32 random bytes: the key that encrypts the tenants' keys. */
  kekFile: string;
};

/** Makes the secrets that are missing and never changes one that exists. */
export function keepSecrets(stateDir: string): Secrets {
  const folder = path.join(stateDir, 'secrets');
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o700);
  const fileOf = (name: PasswordName): string => path.join(folder, name);
  for (const name of passwordNames) {
    // base64url has no character that a URL, a shell or a configuration file would read in its own way.
    if (!existsSync(fileOf(name))) writeWhole(fileOf(name), randomBytes(24).toString('base64url'), 0o600);
  }
  const kekFile = path.join(folder, 'kek');
  if (!existsSync(kekFile)) writeWhole(kekFile, randomBytes(32), 0o600);
  return openSecrets(folder);
}

/** Secrets that exist already in a folder, as containers get them. */
export function openSecrets(folder: string): Secrets {
  const fileOf = (name: PasswordName): string => path.join(folder, name);
  return {
    fileOf,
    read: (name) => readFileSync(fileOf(name), 'utf8').trim(),
    kekFile: path.join(folder, 'kek'),
  };
}
