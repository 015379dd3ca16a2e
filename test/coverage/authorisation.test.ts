import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Problem } from '#contract/errors.ts';
import type { RouteSpec } from '#contract/route.ts';
import { routes } from '#contract/routes.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { startPeopleServer, type PeopleServer } from '../harness/people-server.ts';

const all: [string, RouteSpec][] = Object.entries(routes);
const closed = all.filter(([, route]) => route.permission !== 'public');
const ofTenant = closed.filter(([, route]) => route.path.includes('/:tenantId'));
const withPermission = closed.filter(([, route]) => route.permission !== 'authenticated');

let server: PeopleServer;
let ours: string;
let theirs: string;

beforeAll(async () => {
  server = await startPeopleServer();
  ours = (await server.tenant('ours')).tenantId;
  theirs = (await server.tenant('theirs')).tenantId;
  await server.member(ours, 'somebody', [
    'platform_admin',
    'tenant_admin',
    'operator',
    'approver',
    'auditor',
  ]);
  await server.member(theirs, 'nobody', []);
  await server.member(ours, 'everything', ['tenant_admin', 'operator', 'approver', 'auditor']);
});

afterAll(async () => {
  await server.stop();
});

/** The route's address in a tenant; every other identifier is one that does not exist. */
function urlOf(route: RouteSpec, tenantId: string): string {
  return route.path
    .replace(':tenantId', tenantId)
    .replace(':index', '0')
    .replace(/:\w+/g, newId())
    .replace(/\*$/, 'checkpoint');
}

interface Attempt {
  readonly headers?: Record<string, string>;
  readonly payload?: string;
  readonly method?: string;
}

async function ask(
  route: RouteSpec,
  url: string,
  attempt: Attempt = {},
): Promise<{ status: number; problem: Problem }> {
  const method = (attempt.method ?? route.method) as 'GET';
  const { headers = {}, payload } = attempt;
  const answer = await server.app.inject({
    method,
    url,
    headers: payload === undefined ? headers : { 'content-type': 'application/json', ...headers },
    ...(payload === undefined ? {} : { payload }),
  });
  const text = answer.body;
  return { status: answer.statusCode, problem: (text.startsWith('{') ? JSON.parse(text) : {}) as Problem };
}

describe('every route that is not public', () => {
  it.each(closed)('%s refuses a caller without a credential', async (_name, route) => {
    const { status, problem } = await ask(route, urlOf(route, ours));
    expect([status, problem.code]).toEqual([401, 'unauthenticated']);
    expect(problem.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it.each(closed)('%s refuses a person who has shown a password only', async (_name, route) => {
    const { status, problem } = await ask(route, urlOf(route, ours), {
      headers: await server.bearer('everything', 1),
    });
    // Platform routes ask for the right first: this person has none there.
    const expected = route.permission === 'platform.manage' ? [403, 'forbidden'] : [401, 'step_up_required'];
    expect([status, problem.code]).toEqual(expected);
  });

  it.each(closed)('%s answers 405 to a method that it does not have', async (_name, route) => {
    const { status, problem } = await ask(route, urlOf(route, ours), {
      method: 'OPTIONS',
    });
    expect([status, problem.code]).toEqual([405, 'method_not_allowed']);
  });

  it.each(closed)('%s is not found under a disguised address', async (_name, route) => {
    const url = urlOf(route, ours);
    const headers = await server.bearer('everything');
    const disguises = [
      url.replace('/api/', '/API/'),
      url.replace('/api/', '/api//'),
      url.replace('/v1', '/v1;x'),
    ];
    if (!route.path.endsWith('*')) disguises.push(`${url}/`);
    for (const disguise of disguises) expect((await ask(route, disguise, { headers })).status).toBe(404);
  });
});

const withFreshProof = closed.filter(([, route]) => route.acr === 3);

describe('every route that gives lasting rights', () => {
  it('is among those that ask for a fresh proof of identity', () => {
    expect(withFreshProof.map(([name]) => name).sort()).toEqual([
      'activateSshAccess',
      'approveException',
      'createApiKey',
      'createMember',
      'createSshAccess',
      'replaceSshKey',
      'updateMember',
    ]);
  });

  it.each(withFreshProof)(
    '%s refuses a second factor that was shown at sign-in only',
    async (_name, route) => {
      const { status, problem } = await ask(route, urlOf(route, ours), {
        headers: await server.bearer('everything', 2),
      });
      expect([status, problem.code]).toEqual([401, 'step_up_required']);
    },
  );

  it.each(withFreshProof)('%s refuses a fresh proof that has grown old', async (_name, route) => {
    const nowS = Math.floor(Date.now() / 1000);
    const shownAgo = async (seconds: number) =>
      ask(route, urlOf(route, ours), {
        headers: await server.bearer('everything', 3, { auth_time: nowS - seconds }),
        payload: '{"noSuchMember":1}',
      });
    expect((await shownAgo(301)).problem.code).toBe('step_up_required');
    expect((await shownAgo(200)).problem.code).toBe('invalid_request');
  });
});

describe('every route of a tenant', () => {
  it.each(ofTenant)(
    '%s does not exist for a person of another tenant, whatever that person may do at home',
    async (_name, route) => {
      const headers = await server.bearer('somebody', 3);
      const foreign = await ask(route, urlOf(route, theirs), { headers });
      const absent = await ask(route, urlOf(route, newId()), { headers });
      expect([foreign.status, foreign.problem.code]).toEqual([404, 'not_found']);
      // A tenant that is not mine and one that is not at all look the same.
      expect({ ...foreign.problem, requestId: '' }).toEqual({ ...absent.problem, requestId: '' });
    },
  );
});

describe('every route with a permission', () => {
  it.each(withPermission)('%s refuses a member who does not hold it', async (_name, route) => {
    const { status, problem } = await ask(route, urlOf(route, theirs), {
      headers: await server.bearer('nobody', 3),
    });
    expect([status, problem.code]).toEqual([403, 'forbidden']);
  });
});

const withBody = ofTenant.filter(([, route]) => route.body !== undefined);

describe('every route that takes a body', () => {
  it.each(withBody)('%s names what is wrong with it', async (_name, route) => {
    const headers = await server.bearer('everything', 3);
    const { status, problem } = await ask(route, urlOf(route, ours), {
      headers,
      payload: '{"noSuchMember":1}',
    });
    expect([status, problem.code]).toEqual([400, 'invalid_request']);
    expect(problem.fields?.length).toBeGreaterThan(0);
    expect(problem.fields?.every(({ path }) => path.startsWith('/body'))).toBe(true);
  });

  it.each(withBody)('%s refuses what is not exactly JSON', async (_name, route) => {
    const headers = await server.bearer('everything', 3);
    const url = urlOf(route, ours);
    for (const type of [
      'text/plain',
      'application/json\t; charset=utf-8',
      'application/json; charset=utf-7',
      'text/json',
    ]) {
      const { status } = await ask(route, url, {
        headers: { ...headers, 'content-type': type },
        payload: '{}',
      });
      expect([status, type]).toEqual([415, type]);
    }
    for (const payload of ['{', '{"__proto__":{"x":1}}', '{"constructor":{"prototype":{"x":1}}}']) {
      const { status, problem } = await ask(route, url, { headers, payload });
      expect([status, problem.code, payload]).toEqual([400, 'malformed_body', payload]);
    }
    const big = await ask(route, url, { headers, payload: `"${'x'.repeat(1_100_000)}"` });
    expect([big.status, big.problem.code]).toEqual([413, 'payload_too_large']);
  });
});
