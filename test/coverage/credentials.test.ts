import { SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Me } from '#contract/access.ts';
import type { TokenWish } from '../harness/issuer.ts';
import { startPeopleServer, type PeopleServer } from '../harness/people-server.ts';

let server: PeopleServer;
let tenantId: string;

beforeAll(async () => {
  server = await startPeopleServer();
  tenantId = (await server.tenant('clinique')).tenantId;
  await server.member(tenantId, 'admin', ['tenant_admin']);
});

afterAll(async () => {
  await server.stop();
});

async function me(token: string): Promise<{ status: number; code: string; body: Me }> {
  const answer = await server.app.inject({
    url: '/api/v1/me',
    headers: { authorization: `Bearer ${token}` },
  });
  const body = answer.json<Me & { code?: string }>();
  return { status: answer.statusCode, code: body.code ?? '', body };
}

describe('a token', () => {
  it('opens the API for the person that it names', async () => {
    const { status, body } = await me(await server.issuer.token({ subject: 'admin' }));
    expect(status).toBe(200);
    expect(body.memberships.map((membership) => membership.roles)).toEqual([['tenant_admin']]);
  });

  const bad: [string, Partial<TokenWish>, string][] = [
    ['of another issuer', { claims: { iss: 'http://127.0.0.1:1/realms/atlas' } }, 'unauthenticated'],
    ['for another audience', { claims: { aud: 'account' } }, 'unauthenticated'],
    ['of another client', { claims: { azp: 'admin-cli' } }, 'unauthenticated'],
    ['that is an ID token', { claims: { typ: 'ID' } }, 'unauthenticated'],
    ['that is a refresh token', { claims: { typ: 'Refresh' } }, 'unauthenticated'],
    ['that lives an hour', { lifeS: 3600 }, 'unauthenticated'],
    ['without a session', { claims: { sid: '' } }, 'unauthenticated'],
    ['signed by a stranger', { forged: true }, 'unauthenticated'],
    ['that is over', { claims: { iat: 1_700_000_000, exp: 1_700_000_300 } }, 'token_expired'],
  ];
  it.each(bad)('%s is refused', async (_what, wish, code) => {
    const answer = await me(await server.issuer.token({ subject: 'admin', ...wish }));
    expect([answer.status, answer.code]).toEqual([401, code]);
  });

  it('without a signature, or signed with a shared secret, is refused', async () => {
    const claims = {
      sub: 'admin',
      aud: 'atlas-api',
      azp: 'atlas-web',
      typ: 'Bearer',
      sid: 's',
      preferred_username: 'admin',
    };
    const unsigned = new UnsecuredJWT(claims)
      .setIssuer(server.issuer.issuer)
      .setIssuedAt()
      .setExpirationTime('5m')
      .encode();
    const shared = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .setIssuer(server.issuer.issuer)
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(new TextEncoder().encode('a secret of at least thirty-two bytes'));
    expect((await me(unsigned)).status).toBe(401);
    expect((await me(shared)).status).toBe(401);
  });
});

describe('a session that the identity provider has ended', () => {
  it('refuses its tokens at once, and leaves the other sessions of the person alone', async () => {
    const ended = await server.issuer.token({ subject: 'admin', sid: 'evening' });
    const other = await server.issuer.token({ subject: 'admin', sid: 'morning' });
    expect([(await me(ended)).status, (await me(other)).status]).toEqual([200, 200]);
    const logout = await server.app.inject({
      method: 'POST',
      url: '/api/back-channel-logout',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({
        logout_token: await server.issuer.logoutToken({ sub: 'admin', sid: 'evening' }),
      }).toString(),
    });
    expect(logout.statusCode).toBe(200);
    expect([(await me(ended)).status, (await me(other)).status]).toEqual([401, 200]);
  });

  it.each([
    ['a nonce', { nonce: 'x', sid: 's' }],
    ['no event', { events: {}, sid: 's' }],
    ['neither session nor subject', {}],
    ['another audience', { aud: 'other', sid: 's' }],
  ])('is not believed from a logout token with %s', async (_what, claims) => {
    const logout = await server.app.inject({
      method: 'POST',
      url: '/api/back-channel-logout',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ logout_token: await server.issuer.logoutToken(claims) }).toString(),
    });
    expect(logout.statusCode).toBe(400);
  });
});

describe('what is taken away', () => {
  it('stops acting at once in this process: a membership', async () => {
    const personId = await server.member(tenantId, 'temporary', ['auditor']);
    const headers = await server.bearer('temporary');
    const url = `/api/v1/tenants/${tenantId}/sites`;
    expect((await server.app.inject({ url, headers })).statusCode).toBe(200);
    const removal = await server.app.inject({
      method: 'DELETE',
      url: `/api/v1/tenants/${tenantId}/members/${personId}`,
      headers: await server.bearer('admin'),
    });
    expect(removal.statusCode).toBe(204);
    expect((await server.app.inject({ url, headers })).statusCode).toBe(404);
  });

  it('stops acting within five seconds when another process took it: a membership', async () => {
    const personId = await server.member(tenantId, 'elsewhere', ['auditor']);
    const headers = await server.bearer('elsewhere');
    const url = `/api/v1/tenants/${tenantId}/sites`;
    expect((await server.app.inject({ url, headers })).statusCode).toBe(200);
    await server.platform.db.inTenant(tenantId, (tx) =>
      tx.deleteFrom('memberships').where('person_id', '=', personId).execute(),
    );
    const untilMs = Date.now() + 5_000;
    let status = 200;
    while (status === 200 && Date.now() < untilMs) {
      await server.platform.clock.sleep(200);
      status = (await server.app.inject({ url, headers })).statusCode;
    }
    expect(status).toBe(404);
  });

  it('never is the last administrator', async () => {
    const { memberships: _, id } = (await me(await server.issuer.token({ subject: 'admin' }))).body;
    const removal = await server.app.inject({
      method: 'DELETE',
      url: `/api/v1/tenants/${tenantId}/members/${id}`,
      headers: await server.bearer('admin'),
    });
    expect([removal.statusCode, removal.json<{ code: string }>().code]).toEqual([409, 'transition_refused']);
  });
});

describe('a key for machines', () => {
  async function createKey(scopes: string[]): Promise<{ status: number; secret: string; id: string }> {
    const answer = await server.app.inject({
      method: 'POST',
      url: `/api/v1/tenants/${tenantId}/api-keys`,
      headers: await server.bearer('admin', 3),
      payload: { name: 'supervision', scopes, expiresInDays: 30 },
    });
    const body = answer.json<{ secret?: string; apiKey?: { id: string } }>();
    return { status: answer.statusCode, secret: body.secret ?? '', id: body.apiKey?.id ?? '' };
  }

  it('does what its scopes say, nothing more, until it is revoked', async () => {
    const key = await createKey(['fleet.read']);
    const headers = { authorization: `Bearer ${key.secret}` };
    const at = (path: string) => server.app.inject({ url: `/api/v1/tenants/${tenantId}/${path}`, headers });
    expect([(await at('sites')).statusCode, (await at('members')).statusCode]).toEqual([200, 403]);
    await server.app.inject({
      method: 'DELETE',
      url: `/api/v1/tenants/${tenantId}/api-keys/${key.id}`,
      headers: await server.bearer('admin'),
    });
    expect((await at('sites')).statusCode).toBe(401);
  });

  it('is refused once it has expired, also when it was in use a moment before', async () => {
    const expire = (id: string) =>
      server.platform.db.inTenant(tenantId, (tx) =>
        tx
          .updateTable('api_keys')
          .set({ expires_at: new Date(Date.now() - 1_000) })
          .where('id', '=', id)
          .execute(),
      );
    const [unused, used] = [await createKey(['fleet.read']), await createKey(['fleet.read'])];
    expect((await me(used.secret)).status).toBe(200);
    await expire(unused.id);
    await expire(used.id);
    expect(await me(unused.secret)).toMatchObject({ status: 401, code: 'unauthenticated' });
    // What is remembered of a caller is at most three seconds old.
    const untilMs = Date.now() + 5_000;
    let status = 200;
    while (status === 200 && Date.now() < untilMs) {
      await server.platform.clock.sleep(200);
      status = (await me(used.secret)).status;
    }
    expect(status).toBe(401);
  });

  it('knows its own tenant only', async () => {
    const key = await createKey(['fleet.read', 'tenants.read']);
    const other = await server.tenant('voisine');
    const answer = await server.app.inject({
      url: `/api/v1/tenants/${other.tenantId}/sites`,
      headers: { authorization: `Bearer ${key.secret}` },
    });
    expect(answer.statusCode).toBe(404);
  });

  it('is refused with one character changed', async () => {
    const { secret } = await createKey(['fleet.read']);
    const changed = secret.slice(0, -1) + (secret.endsWith('A') ? 'B' : 'A');
    expect((await me(changed)).status).toBe(401);
  });

  it('cannot be given what its maker does not hold, nor what only people may do', async () => {
    expect((await createKey(['plans.create'])).status).toBe(403);
    expect((await createKey(['members.manage'])).status).toBe(403);
    expect((await createKey(['releases.sign'])).status).toBe(403);
  });
});
