import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startDatabases } from '../../stack/stack.ts';
import type { StackHandle } from '../../stack/stack.ts';

let stateDir = '';
let stack: StackHandle;

beforeAll(async () => {
  stateDir = mkdtempSync(path.join(os.tmpdir(), 'atlas-databases-'));
  stack = await startDatabases(stateDir);
}, 60_000);

afterAll(async () => {
  await stack.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

async function query(role: '' | 'SYSTEM_' | 'OWNER_', sql: string): Promise<unknown[]> {
  const url = new URL(stack.environment[`ATLAS_${role}DATABASE_URL`] ?? '');
  url.password = readFileSync(stack.environment[`ATLAS_${role}DATABASE_PASSWORD_FILE`] ?? '', 'utf8');
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('the databases', () => {
  it('give the server a role without rights over the schema, and one that sees every tenant but owns nothing', async () => {
    const rights =
      'select rolname, rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = current_user';
    expect(await query('', rights)).toEqual([
      { rolname: 'atlas_app', rolsuper: false, rolbypassrls: false, rolcreaterole: false },
    ]);
    expect(await query('SYSTEM_', rights)).toEqual([
      { rolname: 'atlas_system', rolsuper: false, rolbypassrls: true, rolcreaterole: false },
    ]);
    await expect(query('', 'create table public.mine (id int)')).rejects.toThrow('permission denied');
    await expect(query('SYSTEM_', 'create table public.mine (id int)')).rejects.toThrow('permission denied');
  });

  it('let the owner alone change the schema', async () => {
    await query('OWNER_', 'create table public.owned (id int)');
    await expect(query('', 'select * from public.owned')).rejects.toThrow('permission denied');
  });

  it('refuse a Redis client without the password and give the server what its queues need', async () => {
    const url = new URL(stack.environment.ATLAS_REDIS_URL ?? '');
    url.password = stack.secrets.read('redis');
    const stranger = new Redis(stack.ports.redis, '127.0.0.1', {
      lazyConnect: true,
      retryStrategy: () => null,
    });
    stranger.on('error', () => undefined);
    await expect(stranger.connect().then(() => stranger.set('a', '1'))).rejects.toThrow();
    stranger.disconnect();
    const redis = new Redis(url.href);
    expect(await redis.config('GET', 'maxmemory-policy')).toContain('noeviction');
    expect(await redis.call('CLIENT', 'SETNAME', 'queue')).toBe('OK');
    await expect(redis.call('CONFIG', 'SET', 'dir', '/')).rejects.toThrow('NOPERM');
    redis.disconnect();
  });
});
