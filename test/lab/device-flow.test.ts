import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Me, Permission } from '#contract/access.ts';
import type { MaintenanceWindow, WindowPreview } from '#contract/windows.ts';
import { keepAccounts } from '../../cli/demo/accounts.ts';
import { createContext } from '../../cli/context.ts';
import { signInAs, until } from '../../cli/demo/demo-client.ts';
import type { DemoPerson } from '../../cli/demo/demo-client.ts';
import { bootstrapDemo } from '../../cli/demo/firstRun.ts';
import type { DemoAccount } from '../../cli/demo/sign-in.ts';
import { exitCodes } from '../../cli/exitCodes.ts';
import type { Session } from '../../cli/sessionFile.ts';
import { answerDevice } from '../harness/devicePages.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const cacheDir = process.env['ATLAS_CACHE_DIR'] ?? path.join(repository, '.atlas/cache');
const startTimeoutMs = 600_000;
let stateDir: string;
let environment: NodeJS.ProcessEnv;
let url: string;
let tenantId: string;

interface Ended {
  readonly exitCode: number | null;
  readonly lines: readonly string[];
  readonly complaint: string;
}

/** Runs `./atlas` as a person does; `seen` gets each line of standard output as it comes. */
async function atlas(
  args: readonly string[],
  seen: (line: string, stop: () => void) => void = () => undefined,
): Promise<Ended> {
  const child = spawn(process.execPath, [path.join(repository, 'cli/main.ts'), ...args, '--lang', 'en'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  createInterface(child.stdout).on('line', (line) => {
    lines.push(line);
    seen(line, () => child.kill());
  });
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { exitCode, lines, complaint };
}

function lastJson<T>(ended: Ended): T {
  return JSON.parse(ended.lines.at(-1) ?? 'null') as T;
}

function account(name: string): DemoAccount {
  const known = keepAccounts(stateDir).get(name);
  if (known === undefined) throw new Error(`no account ${name}`);
  return known;
}

/** `login`, and a person who answers at the address that the terminal shows. */
async function login(name: string, answer: 'accept' | 'cancel'): Promise<Ended> {
  let problem: unknown;
  const ended = await atlas(['login', '--json', '--server', url], (line, stop) => {
    const { verificationUri } = JSON.parse(line) as { verificationUri?: string };
    if (verificationUri === undefined) return;
    answerDevice(verificationUri, account(name), answer).catch((error: unknown) => {
      problem = error;
      stop();
    });
  });
  if (problem !== undefined) throw problem as Error;
  return ended;
}

const sessionFile = (): string => path.join(stateDir, 'session.json');
const readSession = async (): Promise<Session> =>
  JSON.parse(await readFile(sessionFile(), 'utf8')) as Session;

beforeAll(async () => {
  stateDir = await mkdtemp(path.join(tmpdir(), 'atlas-device-'));
  const bare = Object.entries(process.env).filter(([name]) => !/^ATLAS_(SERVER|TENANT|API_KEY)$/.test(name));
  environment = { ...Object.fromEntries(bare), ATLAS_STATE_DIR: stateDir, ATLAS_CACHE_DIR: cacheDir };
  const up = await atlas(['up', '--json']);
  expect(up.complaint).not.toContain('Error');
  url = lastJson<{ url: string }>(up).url;
  const context = createContext(['--json'], environment);
  ({ tenantId } = await bootstrapDemo(context));
}, startTimeoutMs);

afterAll(async () => {
  await atlas(['reset']);
  await rm(stateDir, { recursive: true, force: true });
}, startTimeoutMs);

describe('signing a terminal in, before the real identity provider', () => {
  it('without a session, says what to do and ends with status 5', async () => {
    const ended = await atlas(['hosts', 'list', '--json']);
    expect(ended.exitCode).toBe(exitCodes.refused);
    expect(ended.complaint).toContain('./atlas login');
  });

  it('is refused when the person says no in the browser', async () => {
    const ended = await login('operateur', 'cancel');
    expect(ended.exitCode).toBe(exitCodes.refused);
    expect(ended.complaint).toContain('refused in the browser');
    await expect(stat(sessionFile())).rejects.toThrow('ENOENT');
  });

  it('gives the terminal the person’s own rights, in a file that only its owner reads', async () => {
    const ended = await login('operateur', 'accept');
    expect([ended.exitCode, ended.complaint]).toEqual([0, expect.any(String)]);
    expect(lastJson(ended)).toMatchObject({ signedIn: true, server: url, name: 'operateur' });
    expect((await stat(sessionFile())).mode & 0o777).toBe(0o600);
    const me = lastJson<Me>(await atlas(['whoami', '--json']));
    expect([me.kind, me.acr, me.memberships[0]?.roles]).toEqual(['person', 2, ['operator']]);
    expect(lastJson(await atlas(['hosts', 'list', '--json', '--tenant', 'laboratoire']))).toEqual({
      items: [],
    });
    expect(lastJson(await atlas(['runs', 'list', '--json']))).toMatchObject({ items: [] });
  });

  it('lets the person do what the role allows, and names the code of what it does not', async () => {
    const refused = await atlas(['tokens', 'create', '--json']);
    expect(refused.exitCode).toBe(exitCodes.refused);
    expect(refused.complaint).toContain('forbidden · 403');
    const absent = await atlas(['runs', 'show', '7', '--json']);
    expect([absent.exitCode, absent.complaint]).toEqual([exitCodes.failed, 'Error: no run 7\n']);
    expect((await atlas(['hosts', 'list', '--tenant', 'nobody'])).exitCode).toBe(exitCodes.usage);
  });

  it('keeps windows and groups from documents, and says field by field what is wrong with one', async () => {
    const night = {
      ...{ name: 'Nuit', siteId: null, timeZone: 'Europe/Paris', startsOn: '2026-11-28', startTime: '20:00' },
      ...{ rule: 'FREQ=WEEKLY;BYDAY=SA', durationMinutes: 960, startCutOffMinutes: 60 },
      ...{ rebootReserveMinutes: 60, hardStopMinutes: 60 },
    };
    const file = path.join(stateDir, 'document.json');
    const give = async (document: unknown, ...args: string[]): Promise<Ended> => {
      await writeFile(file, JSON.stringify(document));
      return atlas([...args, '--file', file, '--json']);
    };
    const wrong = await give({ ...night, timeZone: 'Mars/Olympus' }, 'windows', 'create', '--dry-run');
    expect([wrong.exitCode, wrong.complaint]).toEqual([
      ...[exitCodes.failed, expect.stringContaining('timeZone: unknown zone, zone Mars/Olympus')],
    ]);
    const seen = lastJson<WindowPreview>(await give(night, 'windows', 'create', '--dry-run'));
    expect(seen.occurrences.map(({ start }) => start.local)[0]).toBe('2026-11-28T20:00+01:00');
    expect(lastJson(await atlas(['windows', 'list', '--json']))).toMatchObject({ items: [{}] });
    const made = lastJson<MaintenanceWindow>(await give(night, 'windows', 'create'));
    await give({ ...night, startTime: '21:00' }, 'windows', 'update', 'Nuit');
    const shown = await atlas(['windows', 'show', 'Nuit', '--json']);
    expect(lastJson(shown)).toMatchObject({ window: { id: made.id, startTime: '21:00' } });
    expect(lastJson(await atlas(['windows', 'remove', 'Nuit', '--json']))).toEqual({ removed: made.id });
    expect((await atlas(['windows', 'show', 'Nuit'])).exitCode).toBe(exitCodes.failed);
    const group = { name: 'Paire', description: '', hostIds: ['srv-1'], budget: { kind: 'all' } };
    const refused = await give(group, 'groups', 'create');
    expect(refused.exitCode).toBe(exitCodes.failed);
    for (const said of ['/body/ordered: is missing', '/body/hostIds/0: must be an identifier', '"min_up"'])
      expect(refused.complaint).toContain(said);
    await writeFile(file, '{');
    expect((await atlas(['groups', 'create', '--file', file])).exitCode).toBe(exitCodes.usage);
  });

  it('renews an old session once when several commands need it together', async () => {
    const old = await readSession();
    await writeFile(sessionFile(), JSON.stringify({ ...old, accessExpiresAt: new Date(0).toISOString() }));
    const ended = await Promise.all([1, 2, 3].map(() => atlas(['whoami', '--json'])));
    expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
    const renewed = await readSession();
    expect(renewed.refreshToken).not.toBe(old.refreshToken);
    expect((await stat(sessionFile())).mode & 0o777).toBe(0o600);
  });

  it('verifies the log and copies it through the server, and the copy verifies without it', async () => {
    const live = lastJson<{ ok: boolean; logs: { size: number }[] }>(
      await atlas(['audit', 'verify', '--json', '--server', url]),
    );
    expect(live.ok).toBe(true);
    const out = path.join(stateDir, 'copy');
    const exported = await atlas(['audit', 'export', '--json', '--server', url, '--out', out]);
    expect(exported.exitCode).toBe(0);
    const copy = await atlas(['audit', 'verify', '--json', '--dir', out]);
    const { ok, logs } = lastJson<{ ok: boolean; logs: { log: string; size: number }[] }>(copy);
    expect([ok, logs[0]?.log]).toEqual([true, tenantId]);
    expect(logs[0]?.size).toBeGreaterThanOrEqual(live.logs[0]?.size ?? Infinity);
  });

  it('ends at logout: nothing stays on the disk and the refresh token serves no more', async () => {
    const { refreshToken } = await readSession();
    expect(lastJson(await atlas(['logout', '--json']))).toEqual({ signedOut: true, server: url });
    await expect(stat(sessionFile())).rejects.toThrow('ENOENT');
    expect((await atlas(['whoami'])).exitCode).toBe(exitCodes.refused);
    const answer = await fetch(`${url}/idp/realms/atlas/protocol/openid-connect/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token',
        client_id: 'atlas-cli',
        refresh_token: refreshToken,
      }),
    });
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'invalid_grant' }]);
  });

  it('says that the session has ended when the identity provider no longer knows it', async () => {
    await login('operateur', 'accept');
    const stale = { ...(await readSession()), accessExpiresAt: new Date(0).toISOString() };
    await atlas(['logout']);
    await writeFile(sessionFile(), JSON.stringify(stale));
    const ended = await atlas(['whoami']);
    expect([ended.exitCode, ended.complaint]).toEqual([
      exitCodes.refused,
      expect.stringContaining('./atlas login'),
    ]);
    await expect(stat(sessionFile())).rejects.toThrow('ENOENT');
  });

  it('ends at the server too when the identity provider ends it, although the token has not expired', async () => {
    await login('operateur', 'accept');
    const { accessToken, refreshToken } = await readSession();
    const asTerminal = () =>
      fetch(`${url}/api/v1/me`, { headers: { authorization: `Bearer ${accessToken}` } });
    expect((await asTerminal()).status).toBe(200);
    const ended = await fetch(`${url}/idp/realms/atlas/protocol/openid-connect/logout`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'atlas-cli', refresh_token: refreshToken }),
    });
    expect(ended.status).toBe(204);
    // The notice travels behind the answer; the test's own time limit is the end.
    await until('the refusal of the token', 60_000, async () =>
      (await asTerminal()).status === 401 ? true : undefined,
    );
    const told = await atlas(['whoami']);
    expect([told.exitCode, told.complaint]).toEqual([
      exitCodes.refused,
      expect.stringContaining('unauthenticated'),
    ]);
  });
});

describe('a machine with an API key', () => {
  const keyFile = (): string => path.join(stateDir, 'machine.key');

  async function createKey(admin: DemoPerson, scopes: Permission[]): Promise<string> {
    const body = { name: 'machine', scopes, expiresInDays: 1 };
    const created = await admin.api.call('createApiKey', { params: { tenantId }, body });
    await writeFile(keyFile(), `${created.secret}\n`, { mode: 0o600 });
    return created.apiKey.id;
  }

  it('acts within its scopes and nowhere else, until it is revoked', async () => {
    const admin = await signInAs(url, account('admin'), 3);
    const apiKeyId = await createKey(admin, ['fleet.read', 'agents.enrol', 'tenants.read']);
    const withKey = ['--api-key-file', keyFile(), '--json'];
    expect(lastJson<Me>(await atlas(['whoami', ...withKey])).kind).toBe('apiKey');
    expect(lastJson(await atlas(['hosts', 'list', ...withKey]))).toEqual({ items: [] });
    const outside = await atlas(['runs', 'list', ...withKey]);
    expect([outside.exitCode, outside.complaint]).toEqual([
      exitCodes.refused,
      expect.stringContaining('forbidden · 403'),
    ]);
    await admin.api.call('revokeApiKey', { params: { tenantId, apiKeyId } });
    const revoked = await atlas(['hosts', 'list', ...withKey]);
    expect([revoked.exitCode, revoked.complaint]).toEqual([
      exitCodes.refused,
      expect.stringContaining('unauthenticated · 401'),
    ]);
  });
});
