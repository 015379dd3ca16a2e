import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { newId } from '../../server/src/platform/ids.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';
import { NodeClients, type NodeClient } from '../harness/node-clients.ts';
import { NodeServices, runServerCommand, ServerNode } from '../harness/server-node.ts';
import { heldResults } from '../harness/signed-results.ts';

const patience = { timeout: 60_000, interval: 100 };

let database: TestDatabase;
let services: NodeServices;
let admin: pg.Client;
let a: ServerNode;
let b: ServerNode;
let clients: NodeClients;

async function isConnected({ agent }: NodeClient): Promise<boolean> {
  const { rows } = await admin.query<{ there: boolean }>(
    'select connected_at is not null as there from agents where id = $1',
    [agent.agentId],
  );
  return rows[0]?.there === true;
}

/** Connections that each live node says it has. */
async function connectionsOf(node: ServerNode): Promise<number> {
  const { rows } = await admin.query<{ connections: number }>(
    `select connections from nodes where agents_url like $1 and seen_at > now() - interval '15 seconds'`,
    [`%:${node.environment.ATLAS_AGENTS_PORT ?? ''}/%`],
  );
  return rows[0]?.connections ?? 0;
}

const scan = (node: ServerNode, client: NodeClient) => clients.scan(node, client);

beforeAll(async () => {
  database = await createTestDatabase();
  services = await NodeServices.start(database);
  admin = new pg.Client({ connectionString: database.superuserUrl });
  await admin.connect();
  [a, b] = await Promise.all([ServerNode.create(services.shared), ServerNode.create(services.shared)]);
  clients = new NodeClients(await services.platformOf(a), services.issuer);
  await Promise.all([a.start(), b.start()]);
}, 180_000);

afterAll(async () => {
  await clients.remove();
  await Promise.all([a.stop(), b.stop()]);
  await admin.end();
  await services.remove();
  await database.drop();
}, 60_000);

describe('two server processes on one database', () => {
  it('hand an order of one over to an agent that is connected to the other', async () => {
    const client = await clients.add(a, 'first');
    await client.agent.start();
    await vi.waitFor(async () => expect(await isConnected(client)).toBe(true), patience);
    await scan(b, client);
    await vi.waitFor(() => expect(client.agent.effects).toEqual(['inventory.scan']), patience);
    await vi.waitFor(async () => expect(await connectionsOf(a)).toBe(1), patience);
    expect(await connectionsOf(b)).toBe(0);
  }, 180_000);

  it('believe hosts of a client whose authority the other one has just made', async () => {
    const client = await clients.add(b, 'second');
    await client.agent.start();
    await vi.waitFor(async () => expect(await isConnected(client)).toBe(true), patience);
    await vi.waitFor(async () => expect(await connectionsOf(b)).toBe(1), patience);
    await b.kill();
    await scan(a, client);
    await vi.waitFor(() => expect(client.agent.effects).toEqual(['inventory.scan']), patience);
    await b.start();
  }, 240_000);

  it('lose nothing when one of them is killed in the middle of work', async () => {
    // Each has heard of both while it was connected: the first one came when its node knew of no other.
    for (const { agent } of clients.all)
      await vi.waitFor(async () => expect((await agent.servers()).length).toBe(2), patience);
    const acknowledged: string[] = [];
    const ask = async (node: ServerNode, client: NodeClient): Promise<void> => {
      const done = await scan(node, client).catch(() => null);
      if (done !== null) acknowledged.push(done.commandId);
    };
    const work = clients.all.map(async (client) => {
      for (let turn = 0; turn < 40; turn += 1) await Promise.all([ask(a, client), ask(b, client)]);
    });
    await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(30), patience);
    await a.kill();
    await Promise.all(work);
    // Every acknowledged command has its result, and no effect came twice.
    await vi.waitFor(async () => {
      const { rows } = await admin.query<{ id: string; results: number }>(
        `select c.id, (select count(*)::int from ${heldResults} r where r.command_id = c.id) as results from commands c`,
      );
      const results = new Map(rows.map((row) => [row.id, row.results]));
      expect(acknowledged.filter((id) => results.get(id) !== 1)).toEqual([]);
      expect(rows.filter((row) => row.results !== 1)).toEqual([]);
      const effects = clients.all.reduce((sum, { agent }) => sum + agent.effects.length, 0);
      expect(effects).toBe(rows.length);
    }, patience);
    expect(acknowledged.length).toBeGreaterThan(60);
    // Whoever is left seals what both have written, and it verifies.
    await vi.waitFor(async () => {
      const { rows } = await admin.query('select 1 from audit_pending limit 1');
      expect(rows).toEqual([]);
    }, patience);
    for (const { tenantId } of clients.all) {
      const verdict = await runServerCommand(b, ['audit', 'verify', tenantId]);
      expect([verdict.exitCode, verdict.output]).toEqual([0, expect.any(String)]);
    }
  }, 300_000);

  it('hand over what a node that died could not speak of', async () => {
    const [client] = clients.all;
    if (client === undefined) throw new Error('there is no client');
    const before = client.agent.effects.length;
    await admin.query(
      `insert into commands select (jsonb_populate_record(null::commands,
         to_jsonb(c) || jsonb_build_object('id', $2::uuid, 'entry_id', null, 'expires_at', now() + interval '5 minutes'))).*
       from commands c where agent_id = $1 limit 1`,
      [client.agent.agentId, newId()],
    );
    // Whatever changes among the nodes makes each of them look again.
    await a.start();
    await vi.waitFor(() => expect(client.agent.effects.length).toBe(before + 1), patience);
  }, 180_000);

  it('refuse on one what was taken away on the other', async () => {
    const [client] = clients.all;
    if (client === undefined) throw new Error('there is no client');
    const { apiKey, secret } = await clients.call<{ apiKey: { id: string }; secret: string }>(client, {
      at: a,
      to: 'POST /api-keys',
      body: { name: 'monitoring', scopes: ['fleet.read'], expiresInDays: 1 },
    });
    const ask = (node: ServerNode) =>
      fetch(`${node.url}/api/v1/tenants/${client.tenantId}/hosts`, {
        headers: { authorization: `Bearer ${secret}` },
      }).then(({ status }) => status);
    expect([await ask(a), await ask(b)]).toEqual([200, 200]);
    await clients.call(client, { at: a, to: `DELETE /api-keys/${apiKey.id}` });
    await vi.waitFor(async () => expect(await ask(b)).toBe(401), patience);
  }, 180_000);
});
