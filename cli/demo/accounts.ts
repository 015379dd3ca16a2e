import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Role } from '#contract/access.ts';
import { readJson, writeJson } from '../../stack/files.ts';
import type { Text } from '../../stack/text.ts';
import { base32 } from './totp.ts';
import type { DemoAccount } from './sign-in.ts';

interface AccountPlan {
  readonly username: string;
  readonly roles: readonly Role[];
  readonly duty: Text;
}

/** Accounts are named after what they do: the demo invents no people. */
export const accountPlans: readonly AccountPlan[] = [
  { username: 'admin', roles: ['platform_admin', 'tenant_admin'], duty: ['administrateur', 'administrator'] },
  {
    username: 'operateur',
    roles: ['operator'],
    duty: ['opérateur : prépare et suit', 'operator: plans and watches'],
  },
  { username: 'valideur-1', roles: ['approver'], duty: ['premier signataire', 'first approver'] },
  { username: 'valideur-2', roles: ['approver'], duty: ['second signataire', 'second approver'] },
  {
    username: 'auditeur',
    roles: ['auditor'],
    duty: ['auditeur : lit et vérifie', 'auditor: reads and verifies'],
  },
];

type Stored = Record<string, { readonly password: string; readonly totpSecret: string }>;

export function accountsFile(stateDir: string): string {
  return path.join(stateDir, 'secrets', 'demo-accounts.json');
}

/** The demo's accounts with their secrets, made once and kept in a file that only its owner reads. */
export function keepAccounts(stateDir: string): Map<string, DemoAccount> {
  const file = accountsFile(stateDir);
  const stored: Stored = readJson<Stored>(file) ?? {};
  const kept: Stored = Object.fromEntries(
    accountPlans.map(({ username }) => [
      username,
      stored[username] ?? {
        password: randomBytes(12).toString('base64url'),
        // Twenty printable bytes: authenticator apps take the base32 form, the identity provider the raw one.
        totpSecret: randomBytes(15).toString('base64url'),
      },
    ]),
  );
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeJson(file, kept);
  chmodSync(file, 0o600);
  return new Map(
    Object.entries(kept).map(([username, secret]) => [
      username,
      { username, password: secret.password, totpSecret: Buffer.from(secret.totpSecret, 'utf8') },
    ]),
  );
}

/** The one-time password's key as an authenticator app takes it. */
export function totpKey(account: DemoAccount): string {
  return base32(account.totpSecret);
}
