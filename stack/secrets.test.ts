import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keepSecrets } from './secrets.ts';

let stateDir = '';
beforeEach(() => (stateDir = mkdtempSync(path.join(os.tmpdir(), 'atlas-secrets-'))));
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

describe('secrets', () => {
  it('are readable by their owner only', () => {
    const secrets = keepSecrets(stateDir);
    expect(statSync(path.join(stateDir, 'secrets')).mode & 0o777).toBe(0o700);
    for (const file of [secrets.fileOf('redis'), secrets.kekFile])
      expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('are long, all different, and never change once made', () => {
    const first = keepSecrets(stateDir);
    const values = [first.read('redis'), first.read('database-app'), first.read('keycloak-admin')];
    expect(new Set(values).size).toBe(3);
    expect(values.every((value) => /^[A-Za-z0-9_-]{32}$/.test(value))).toBe(true);
    expect(readFileSync(first.kekFile)).toHaveLength(32);
    const kek = readFileSync(first.kekFile);
    const second = keepSecrets(stateDir);
    expect(second.read('redis')).toBe(values[0]);
    expect(readFileSync(second.kekFile)).toEqual(kek);
  });
});
