import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const least = {
  ATLAS_PUBLIC_URL: 'https://atlas.example.test',
  ATLAS_PEOPLE_PORT: '8443',
  ATLAS_AGENTS_PORT: '8444',
  ATLAS_ENROL_PORT: '8445',
  ATLAS_DATABASE_URL: 'postgres://atlas_app@127.0.0.1/atlas',
  ATLAS_SYSTEM_DATABASE_URL: 'postgres://atlas_system@127.0.0.1/atlas',
  ATLAS_REDIS_URL: 'redis://127.0.0.1/0',
  ATLAS_KEYCLOAK_URL: 'http://127.0.0.1:8080/idp',
  ATLAS_KEK_FILE: '/var/lib/atlas/kek',
};
const from = { ATLAS_SMTP_FROM: 'atlas@example.test' };

describe('the mail relay in the configuration', () => {
  it('is absent by default, and nobody is told anything', () => {
    expect(readConfig(least).smtp).toBeNull();
  });

  it('is spoken to under encryption unless it is on this machine', () => {
    const remote = { ...least, ...from, ATLAS_SMTP_HOST: 'mail.example.test' };
    expect(readConfig(remote).smtp).toMatchObject({ port: 587, tls: 'starttls', account: null });
    expect(() => readConfig({ ...remote, ATLAS_SMTP_TLS: 'none' })).toThrow(/this machine only/);
    const local = { ...remote, ATLAS_SMTP_HOST: '127.0.0.1', ATLAS_SMTP_TLS: 'none' };
    expect(readConfig(local).smtp?.tls).toBe('none');
  });

  it('is refused without a sender, and with half an account', () => {
    const relay = { ...least, ATLAS_SMTP_HOST: 'mail.example.test' };
    expect(() => readConfig(relay)).toThrow(/ATLAS_SMTP_FROM/);
    expect(() => readConfig({ ...relay, ...from, ATLAS_SMTP_USER: 'atlas' })).toThrow(/go together/);
  });
});

describe('the database in the configuration', () => {
  it('may have several addresses, each of which gets the password', () => {
    const passwordFile = path.join(mkdtempSync(path.join(tmpdir(), 'atlas-config-')), 'password');
    writeFileSync(passwordFile, 'a,b@c\n');
    const { database } = readConfig({
      ...least,
      ATLAS_DATABASE_URL: 'postgres://atlas_app@one:5432,two:5433/atlas',
      ATLAS_DATABASE_PASSWORD_FILE: passwordFile,
    });
    rmSync(path.dirname(passwordFile), { recursive: true });
    expect([database.connectionString, ...(database.others ?? [])]).toEqual([
      'postgres://atlas_app:a,b%40c@one:5432/atlas',
      'postgres://atlas_app:a,b%40c@two:5433/atlas',
    ]);
  });
});
