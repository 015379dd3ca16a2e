import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EnrolResponse } from '#contract/agent-link.ts';
import { createCertificateRequest } from '../../agent/src/enrol/certificateRequest.ts';
import { issueAgentCertificate } from '../../server/src/features/agents/authorities.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { admin, publishFirstPolicy, startHostsWorld, type HostsWorld } from '../harness/hosts-world.ts';
import {
  enrolHost,
  enrolled,
  hostKeys,
  inventoryOf,
  LinkClient,
  post,
  readToken,
} from '../harness/link-client.ts';

let world: HostsWorld;
let tenant: { tenantId: string; siteId: string };
let other: { tenantId: string; siteId: string };
const clients: LinkClient[] = [];

async function newToken(of = tenant, expiresInMinutes = 60) {
  return world.agents.enrolment.createToken(of.tenantId, admin, { siteId: of.siteId, expiresInMinutes });
}

async function enrolNew(hostname: string, of = tenant): Promise<EnrolResponse> {
  return enrolled((await newToken(of)).token, { hostname });
}

function connect(identity: EnrolResponse, chainPem = identity.chainPem): LinkClient {
  const client = new LinkClient(identity.agentsUrl, { ca: identity.caPem, cert: chainPem });
  clients.push(client);
  return client;
}

async function welcomed(identity: EnrolResponse, bootId?: string): Promise<LinkClient> {
  const client = connect(identity);
  await client.opened();
  client.hello(bootId === undefined ? {} : { bootId });
  await client.frame('welcome');
  return client;
}

const agentOf = (identity: EnrolResponse) =>
  world.db.inTenant(identity.tenantId, (tx) => world.agents.service.get(tx, identity.agentId));

beforeAll(async () => {
  world = await startHostsWorld();
  [tenant, other] = await Promise.all([world.createTenant(), world.createTenant()]);
  await Promise.all([publishFirstPolicy(world, tenant.tenantId), publishFirstPolicy(world, other.tenantId)]);
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.end();
  await world.stop();
});

describe('a host that enrols', () => {
  it('gets a certificate, connects, sends its inventory, and is shown with what it needs', async () => {
    const identity = await enrolNew('web-1.example.org');
    const client = await welcomed(identity);
    const update = {
      name: 'openssl',
      arch: 'amd64',
      fromVersion: '1',
      version: '2',
      origin: 'Debian-Security',
    };
    const updates = [{ ...update, security: true, downloadBytes: 10, sha256: null }];
    client.send({ type: 'inventory', inventory: inventoryOf({ updates, services: ['nginx.service'] }) });
    client.heartbeat();
    await client.frame('lock', 2);
    const { host, agent, healthChecks } = await world.fleet.service.get(tenant.tenantId, identity.hostId);
    expect(host).toMatchObject({
      hostname: 'web-1.example.org',
      status: 'security_pending',
      agentState: 'connected',
      pendingUpdates: 1,
      pendingSecurity: 1,
    });
    expect(agent).toMatchObject({ id: identity.agentId, generation: 1, state: 'connected' });
    expect(healthChecks).toContainEqual({ kind: 'systemd', unit: 'nginx.service' });
    client.end();
    await expect.poll(async () => (await agentOf(identity)).state).toBe('silent');
    const gone = await world.fleet.service.get(tenant.tenantId, identity.hostId);
    // An absent host is unknown, whatever it said last.
    expect(gone.host.status).toBe('unknown');
    expect(await world.audited(tenant.tenantId)).toContain('agent.enrolled');
  });

  it('is seen by its own tenant only', async () => {
    const identity = await enrolNew('db-1.example.org');
    await expect(world.fleet.service.get(other.tenantId, identity.hostId)).rejects.toMatchObject({
      code: 'not_found',
    });
    expect((await world.fleet.service.summary(other.tenantId, admin.id)).total).toBe(0);
  });

  it('leaves the tenant’s root key in a file and nowhere else', async () => {
    const names = await readdir(world.offlineDirectory);
    expect(names.filter((name) => name.includes(tenant.tenantId))).toHaveLength(1);
    const text = await readFile(path.join(world.offlineDirectory, names[0] ?? ''), 'utf8');
    expect(text).toContain('BEGIN PRIVATE KEY');
  });

  it('that enrols again replaces its former agent, which is refused', async () => {
    const machineId = 'a'.repeat(64);
    const before = await enrolled((await newToken()).token, { machineId, hostname: 'twice.example.org' });
    const client = await welcomed(before);
    const after = await enrolled((await newToken()).token, { machineId, hostname: 'twice.example.org' });
    expect(after.hostId).toBe(before.hostId);
    await client.until(() => client.closed);
    const again = connect(before);
    await again.until(() => again.failure === 'HTTP 403');
    await welcomed(after);
  });
});

describe('an enrolment token', () => {
  const refusal = { status: 409, body: { code: 'enrolment_token_unusable' } };

  it('serves once', async () => {
    const { token } = await newToken();
    await enrolled(token, { hostname: 'once.example.org' });
    expect(await enrolHost(token)).toMatchObject(refusal);
    expect(await world.audited(tenant.tenantId)).toContain('agent.refused');
  });

  it('serves one of ten hosts that come at the same time', async () => {
    const { token } = await newToken();
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, n) => enrolHost(token, { hostname: `race-${n}` })),
    );
    expect(all.map(({ status }) => status).sort()).toEqual([201, ...Array<number>(9).fill(409)]);
  });

  it('is refused when it has expired, was revoked, or is changed in one bit', async () => {
    const expired = await newToken(tenant, 5);
    world.clock.ahead(6 * 60_000);
    expect(await enrolHost(expired.token)).toMatchObject(refusal);
    world.clock.ahead(0);
    const revoked = await newToken();
    await world.agents.enrolment.revokeToken(tenant.tenantId, admin, revoked.enrolmentToken.id);
    expect(await enrolHost(revoked.token)).toMatchObject(refusal);
    const { token } = await newToken();
    const secret = Buffer.from(readToken(token).secret, 'base64url');
    secret[40] = (secret[40] ?? 0) ^ 1;
    expect(await enrolHost(token, { secret: secret.toString('base64url') })).toMatchObject(refusal);
    expect(await enrolHost(token, { secret: 'AAAA' })).toMatchObject(refusal);
    await enrolled(token, { hostname: 'after-all.example.org' });
  });

  it('is not used up by a request that is refused for another reason', async () => {
    const { token } = await newToken();
    expect(await enrolHost(token, { csrPem: 'nonsense' })).toMatchObject({ status: 400 });
    expect(await enrolHost(token, { hostname: 'no host name!' })).toMatchObject({ status: 400 });
    await enrolled(token, { hostname: 'third-try.example.org' });
  });

  it('cannot be issued before the customer has published a policy document', async () => {
    const third = await world.createTenant();
    await expect(newToken(third)).rejects.toMatchObject({
      code: 'policy_refused',
      detail: expect.stringContaining('policy init-root') as string,
    });
  });

  it('cannot be issued for a site of another tenant', async () => {
    const wish = { siteId: other.siteId, expiresInMinutes: 60 };
    await expect(world.agents.enrolment.createToken(tenant.tenantId, admin, wish)).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('the enrolment listener', () => {
  it('knows one path, one method, one form of body, and refuses long ones', async () => {
    const { url } = readToken((await newToken()).token);
    expect(await post(url.replace('/enrol', '/'), '{}')).toMatchObject({ status: 404 });
    expect(await post(url, 'x', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 });
    expect(await post(url, '{"a":')).toMatchObject({ status: 400, body: { code: 'malformed_body' } });
    expect(await post(url, '{"a":1}')).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(await post(url, `"${'x'.repeat(40_000)}"`)).toMatchObject({ status: 413 });
  });
});

describe('the agents’ listener', () => {
  it('refuses who has no certificate, and a certificate of another authority, before HTTP', async () => {
    const identity = await enrolNew('tls.example.org');
    const none = new LinkClient(identity.agentsUrl, { ca: identity.caPem, cert: '' });
    clients.push(none);
    await none.until(() => none.failure);
    expect(none.failure).not.toMatch(/^HTTP/);
    const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
      'sign',
      'verify',
    ]);
    const own = await x509.X509CertificateGenerator.createSelfSigned({
      name: [{ O: [tenant.tenantId] }, { CN: [identity.agentId] }],
      keys,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    });
    const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
    const { createPrivateKey } = await import('node:crypto');
    const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
    const stranger = new LinkClient(identity.agentsUrl, {
      ca: identity.caPem,
      cert: own.toString('pem'),
      key,
    });
    clients.push(stranger);
    await stranger.until(() => stranger.failure);
    expect(stranger.failure).not.toMatch(/^HTTP/);
  });

  it('refuses a certificate that the tenant’s authority signed but that was never issued, and says so in the log', async () => {
    const identity = await enrolNew('stolen.example.org');
    const { tenantId, agentId } = identity;
    const spki = hostKeys().publicKey.export({ format: 'der', type: 'spki' });
    const forged = await issueAgentCertificate(
      await world.agents.authorities.issuing(tenantId),
      { tenantId, agentId, generation: 1, publicKey: new x509.PublicKey(spki) },
      Date.now(),
    );
    const client = connect(identity, forged.chainPem);
    await client.until(() => client.failure === 'HTTP 403');
    expect(await world.audited(tenantId)).toContain('agent.refused');
  });

  it('refuses an expired certificate although the TLS session could be resumed', async () => {
    const identity = await enrolNew('expired.example.org');
    world.clock.ahead(91 * 86_400_000);
    const client = connect(identity);
    await client.until(() => client.failure === 'HTTP 403');
    world.clock.ahead(0);
    await welcomed(identity);
  });

  it('ends the connection of a revoked agent at once and refuses it from then on', async () => {
    const identity = await enrolNew('revoked.example.org');
    const client = await welcomed(identity);
    const target = { agentId: identity.agentId, reason: 'lost' };
    const summary = await world.agents.service.revoke(tenant.tenantId, admin, target);
    expect(summary.state).toBe('revoked');
    await client.until(() => client.closed);
    const again = connect(identity);
    await again.until(() => again.failure === 'HTTP 403');
    await expect(world.agents.service.revoke(tenant.tenantId, admin, target)).rejects.toMatchObject({
      code: 'transition_refused',
    });
  });

  it('cuts off an agent that was revoked behind its back, with the next heartbeats', async () => {
    const identity = await enrolNew('behind.example.org');
    const client = await welcomed(identity);
    await world.db.inSystem('tests.revoke', (tx) =>
      tx.updateTable('agents').set({ revoked_at: new Date() }).where('id', '=', identity.agentId).execute(),
    );
    client.heartbeat();
    await client.frame('lock', 2);
    await world.agents.service.flushLiveness();
    await client.until(() => client.closed);
  });

  it('closes a connection that breaks the protocol', async () => {
    const identity = await enrolNew('protocol.example.org');
    const first = connect(identity);
    await first.opened();
    first.heartbeat();
    await first.until(() => first.closed);
    for (const text of ['no json', '{"type":"nothing"}', '{"type":"heartbeat","extra":1}']) {
      const client = await welcomed(identity);
      client.socket.send(text);
      await client.until(() => client.closed);
      expect(client.closed?.code).toBe(1013);
    }
    const binary = await welcomed(identity);
    binary.socket.send(Buffer.from('{}'), { binary: true });
    await binary.until(() => binary.closed);
  });
});

describe('a renewed certificate', () => {
  it('takes over, and the old one is then a copy: both are shut out', async () => {
    const identity = await enrolNew('renewed.example.org');
    const client = await welcomed(identity);
    client.send({ type: 'renew', csrPem: createCertificateRequest('host', hostKeys()), generation: 2 });
    const { chainPem } = await client.frame('certificate');
    client.end();
    // Not used yet: the old one still opens, a crash between the two loses nothing.
    (await welcomed(identity)).end();
    const renewed = connect(identity, chainPem);
    await renewed.opened();
    renewed.hello({ generation: 2 });
    await renewed.frame('welcome');
    expect(await agentOf(identity)).toMatchObject({ generation: 2, state: 'connected' });
    const thief = connect(identity);
    await thief.until(() => thief.failure === 'HTTP 403');
    await renewed.until(() => renewed.closed);
    expect((await agentOf(identity)).state).toBe('clone_suspected');
    const rightful = connect(identity, chainPem);
    await rightful.until(() => rightful.failure === 'HTTP 403');
    const actions = await world.audited(tenant.tenantId);
    expect(actions).toContain('agent.certificate_renewed');
    expect(actions).toContain('agent.clone_detected');
  });
});

describe('two connections of one agent', () => {
  it('from two living hosts are a copy: both are closed and refused', async () => {
    const identity = await enrolNew('cloned.example.org');
    const first = await welcomed(identity, newId());
    const second = connect(identity);
    await second.opened();
    second.hello({ bootId: newId() });
    await Promise.all([first.until(() => first.closed), second.until(() => second.closed)]);
    expect((await agentOf(identity)).state).toBe('clone_suspected');
    expect(second.frames.map(({ type }) => type)).not.toContain('welcome');
  });

  it('of a host that restarted without a word are one: the new one stays', async () => {
    const identity = await enrolNew('restarted.example.org');
    const before = await welcomed(identity, newId());
    // Nobody is behind this socket any more: it reads nothing and answers no ping.
    before.socket.pause();
    const after = connect(identity);
    await after.opened();
    after.hello({ bootId: newId() });
    await after.frame('welcome');
    expect(world.link.isConnected(identity.agentId)).toBe(true);
    expect((await agentOf(identity)).state).toBe('connected');
  });

  it('of the same boot are one: the new one stays', async () => {
    const identity = await enrolNew('network.example.org');
    const bootId = newId();
    const before = await welcomed(identity, bootId);
    await welcomed(identity, bootId);
    await before.until(() => before.closed);
    expect((await agentOf(identity)).state).toBe('connected');
  });
});

describe('a silent agent', () => {
  it('is told from a connected one after three missed heartbeats', async () => {
    const quick = await startHostsWorld({ heartbeatS: 1 });
    try {
      const own = await quick.createTenant();
      await publishFirstPolicy(quick, own.tenantId);
      const wish = { siteId: own.siteId, expiresInMinutes: 60 };
      const { token } = await quick.agents.enrolment.createToken(own.tenantId, admin, wish);
      const identity = await enrolled(token);
      const client = new LinkClient(identity.agentsUrl, { ca: identity.caPem, cert: identity.chainPem });
      await client.opened();
      client.hello();
      await client.frame('welcome');
      await client.until(() => client.closed, 8000);
      await expect
        .poll(() =>
          quick.db.inTenant(
            own.tenantId,
            async (tx) => (await quick.agents.service.get(tx, identity.agentId)).state,
          ),
        )
        .toBe('silent');
    } finally {
      await quick.stop();
    }
  });
});
