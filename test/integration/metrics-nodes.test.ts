import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Envelope } from '#contract/dsse.ts';
import type { HostMetrics, MetricSample } from '#contract/metrics.ts';
import { bootstrapMember } from '../../server/src/features/access/access.bootstrap.ts';
import { bootstrapTenant } from '../../server/src/features/tenants/tenants.bootstrap.ts';
import { createTestDatabase, findFreePort, type TestDatabase } from '../harness/database.ts';
import { newRootKey, signRoots } from '../harness/hosts-world.ts';
import { enrolled, LinkClient } from '../harness/link-client.ts';
import { RecordedAgent } from '../harness/recorded-agent.ts';
import { NodeServices, ServerNode } from '../harness/server-node.ts';
import { heldResults } from '../harness/signed-results.ts';

const patience = { timeout: 60_000, interval: 200 };
const minuteMs = 60_000;

let database: TestDatabase;
let services: NodeServices;
let admin: pg.Client;
let a: ServerNode;
let b: ServerNode;
let metricsPort: number;
let tenantId: string;
let siteId: string;
const agents: RecordedAgent[] = [];
const clients: LinkClient[] = [];

async function call<T>(node: ServerNode, to: string, body?: unknown): Promise<T> {
  const [method, where] = to.split(' ') as [string, string];
  const token = await services.issuer.token({ subject: 'chief', acr: 3 });
  const answer = await fetch(`${node.url}/api/v1/tenants/${tenantId}${where}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${to}: ${answer.status} ${await answer.text()}`);
  return (answer.status === 204 ? null : await answer.json()) as T;
}

const newToken = async (): Promise<string> =>
  (await call<{ token: string }>(a, 'POST /enrolment-tokens', { siteId, expiresInMinutes: 60 })).token;

/** What the site's monitoring reads. */
async function gauge(name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

beforeAll(async () => {
  [database, metricsPort] = await Promise.all([createTestDatabase(), findFreePort()]);
  services = await NodeServices.start(database);
  admin = new pg.Client({ connectionString: database.superuserUrl });
  await admin.connect();
  a = await ServerNode.create({ ...services.shared, ATLAS_METRICS_PORT: String(metricsPort) });
  b = await ServerNode.create(services.shared);
  const platform = await services.platformOf(a);
  await Promise.all([a.start(), b.start()]);
  ({ tenantId, siteId } = await bootstrapTenant(
    { ...platform, siteCreated: () => Promise.resolve() },
    { name: 'Clinique', slug: 'clinique', site: { name: 'Siège', timeZone: 'Europe/Paris' } },
  ));
  await bootstrapMember(platform, tenantId, {
    account: { subject: 'chief', username: 'chief', name: 'chief', email: null },
    locale: 'fr',
    roles: ['tenant_admin', 'operator'],
  });
  const root = newRootKey();
  const draft = await call<Pick<Envelope, 'payloadType' | 'payload'>>(a, 'POST /policy-documents/drafts', {
    removeKeyIds: [],
    rootKeys: [{ keyId: root.keyId, publicKey: root.publicKey }],
    rootThreshold: 1,
  });
  await call(a, 'POST /policy-documents', { envelope: signRoots(draft, [root]) });
}, 180_000);

afterAll(async () => {
  for (const client of clients) client.end();
  for (const agent of agents) await agent.remove();
  await Promise.all([a.stop(), b.stop()]);
  await admin.end();
  await services.remove();
  await database.drop();
}, 60_000);

describe('measures on several server processes', () => {
  it('are shed before anything else when the database cannot keep up, while a command still comes through', async () => {
    const agent = await RecordedAgent.enrol(await newToken());
    agents.push(agent);
    await agent.start();
    const scanned = async (): Promise<void> => {
      const { commandId } = await call<{ commandId: string }>(a, `POST /hosts/${agent.hostId}/scan`);
      const held = `select from ${heldResults} r where r.command_id = $1`;
      await vi.waitFor(async () => expect((await admin.query(held, [commandId])).rowCount).toBe(1), patience);
    };
    await vi.waitFor(scanned, patience);
    const identity = await enrolled(await newToken(), { hostname: 'flood.example.org' });
    const client = new LinkClient(identity.agentsUrl, { ca: identity.caPem, cert: identity.chainPem });
    clients.push(client);
    await client.opened();
    client.hello();
    await client.frame('measure');
    // Somebody holds the tables of measures: nothing of them can be written.
    const holder = new pg.Client({ connectionString: database.superuserUrl });
    await holder.connect();
    await holder.query('begin; lock table metric_samples in access exclusive mode');
    try {
      const now = Math.floor(Date.now() / minuteMs);
      const samples = Array.from({ length: 240 }, (_, n): MetricSample => [now - n, 1, 2, 3, 4, 5, 6, 7, 8]);
      for (let frame = 0; frame < 300; frame += 1) client.send({ type: 'metrics', dropped: 0, samples });
      await vi.waitFor(
        async () => expect(await gauge('atlas_host_samples_shed')).toBeGreaterThan(10_000),
        patience,
      );
      expect(await gauge('atlas_host_samples_waiting')).toBeLessThanOrEqual(60_000);
      await scanned();
      expect(client.closed).toBeNull();
    } finally {
      await holder.end();
    }
    await vi.waitFor(async () => expect(await gauge('atlas_host_samples_waiting')).toBe(0), patience);
    const ask = `GET /hosts/${identity.hostId}/metrics?from=${new Date(Date.now() - 240 * minuteMs).toISOString()}&to=${new Date().toISOString()}&step=60`;
    const [here, there] = [await call<HostMetrics>(a, ask), await call<HostMetrics>(b, ask)];
    expect(there).toEqual(here);
    const memory = here.series.find(({ measure }) => measure === 'memoryUsed');
    expect(memory?.avg.filter((value) => value === 0.2).length).toBeGreaterThan(200);
  }, 180_000);
});
