import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { readConfig } from '../../server/src/config.ts';
import { openPrimary, type Platform } from '../../server/src/main.platform.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { migrate } from '../../server/src/platform/migrations.ts';
import { DatabaseServer } from '../harness/database-server.ts';
import { NodeClients, type NodeClient } from '../harness/node-clients.ts';
import { NodeServices, runServerCommand, ServerNode } from '../harness/server-node.ts';
import { heldResults } from '../harness/signed-results.ts';

interface Health {
  readonly standbys: number;
  readonly following: number;
  readonly behindBytes: number;
  readonly warnings: readonly string[];
}

const patience = { timeout: 60_000, interval: 100 };
const migrations = path.resolve(import.meta.dirname, '../../migrations');

let first: DatabaseServer;
let second: DatabaseServer;
let services: NodeServices;
let platform: Platform;
let node: ServerNode;
let clients: NodeClients;
let client: NodeClient;
const acknowledged: string[] = [];

/** The address of both, as the setting takes it. */
function urlOf(role: 'atlas_app' | 'atlas_system' | 'atlas_owner'): string {
  return first.url(role).replace(/\/atlas$/, `,127.0.0.1:${second.port}/atlas`);
}

async function health(): Promise<Health> {
  const answer = await fetch(`${node.url}/readyz`);
  return ((await answer.json()) as { database: Health }).database;
}

/** Makes commits wait for that standby, or for nobody. */
async function commitOn(server: DatabaseServer, name: string): Promise<void> {
  await server.query(`alter system set synchronous_standby_names = '${name}'`);
  await server.query('select pg_reload_conf()');
}

const scan = () => clients.scan(node, client);

/** Asks again and again, two at a time; what is answered is remembered, what is not may be asked again. */
async function keepAsking(until: () => boolean): Promise<void> {
  const ask = async (): Promise<void> => {
    while (!until()) {
      const done = await scan().catch(() => null);
      if (done === null) await new Promise((resolve) => setTimeout(resolve, 50));
      else acknowledged.push(done.commandId);
    }
  };
  await Promise.all([ask(), ask()]);
}

/** Everything that was acknowledged is there with one result, and the host has done each thing once. */
async function nothingIsLost(server: DatabaseServer): Promise<void> {
  await vi.waitFor(async () => {
    const rows = await server.query<{ id: string; results: number }>(
      `select c.id, (select count(*)::int from ${heldResults} r where r.command_id = c.id) as results from commands c`,
      'atlas',
    );
    const results = new Map(rows.map((row) => [row.id, row.results]));
    expect(acknowledged.filter((id) => results.get(id) !== 1)).toEqual([]);
    expect(rows.filter((row) => row.results !== 1)).toEqual([]);
    expect(client.agent.effects.length).toBe(rows.length);
    expect(await server.query('select from audit_pending limit 1', 'atlas')).toEqual([]);
  }, patience);
  const verdict = await runServerCommand(node, ['audit', 'verify', client.tenantId]);
  expect([verdict.exitCode, verdict.output]).toEqual([0, expect.any(String)]);
}

beforeAll(async () => {
  first = await DatabaseServer.create();
  await migrate({ connectionString: first.url('atlas_owner'), directory: migrations });
  second = await first.standby('atlas_second');
  await commitOn(first, 'atlas_second');
  services = await NodeServices.start({ appUrl: urlOf('atlas_app'), systemUrl: urlOf('atlas_system') });
  node = await ServerNode.create(services.shared);
  platform = await services.platformOf(node, 'silent');
  await node.start();
  clients = new NodeClients(platform, services.issuer);
  client = await clients.add(node, 'first');
  await client.agent.start();
}, 180_000);

afterAll(async () => {
  await clients.remove();
  await node.stop();
  await services.remove();
  await Promise.all([first.remove(), second.remove()]);
}, 60_000);

describe('a database with a synchronous standby', () => {
  it('is said to be followed, and says when commits would not wait for the standby', async () => {
    await vi.waitFor(
      async () => expect(await health()).toMatchObject({ standbys: 1, following: 1, warnings: [] }),
      patience,
    );
    await commitOn(first, '');
    await vi.waitFor(
      async () => expect((await health()).warnings).toEqual(['replication_asynchronous']),
      patience,
    );
    await commitOn(first, 'atlas_second');
    await vi.waitFor(async () => expect((await health()).warnings).toEqual([]), patience);
  }, 180_000);

  it('acknowledges nothing while the standby is away, and says that it is missing', async () => {
    acknowledged.push((await scan()).commandId);
    await second.stop();
    await vi.waitFor(async () => expect((await health()).warnings).toEqual(['standby_missing']), patience);
    let isAnswered = false;
    const asked = scan().then(({ commandId }) => {
      isAnswered = true;
      acknowledged.push(commandId);
    });
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(isAnswered).toBe(false);
    await second.start();
    await asked;
  }, 180_000);

  it('believes no commit whose wait for the standby was broken off', async () => {
    await second.stop();
    const written = platform.db
      .inTenant(client.tenantId, (tx) =>
        platform.outbox.publish(tx, [{ topic: 'test.unheard', payload: {} }]),
      )
      .then(
        () => 'believed',
        (error: unknown) => error,
      );
    await vi.waitFor(async () => {
      const rows = await first.query<{ done: boolean }>(
        `select pg_cancel_backend(pid) as done from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'atlas-app'`,
      );
      expect(rows.length).toBeGreaterThan(0);
    }, patience);
    expect(await written).toMatchObject({ code: 'overloaded' });
    await second.start();
  }, 180_000);

  it('loses no acknowledged command when the primary is killed and the standby promoted', async () => {
    let isPromoted = false;
    const before = acknowledged.length;
    let enough = Infinity;
    const asking = keepAsking(() => isPromoted && acknowledged.length > enough);
    await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(before + 30), patience);
    await first.kill();
    second.promote();
    isPromoted = true;
    enough = acknowledged.length + 30;
    await asking;
    await nothingIsLost(second);
  }, 300_000);

  it('writes nothing to the former primary that comes back', async () => {
    const [timeline] = await first.start().then(() => first.query<{ at: number }>('select 1 as at'));
    expect(timeline).toBeDefined();
    await vi.waitFor(async () => expect((await health()).warnings).toContain('primary_refused'), patience);
    const count = 'select count(*)::int as count from commands';
    const before = await first.query(count, 'atlas');
    acknowledged.push((await scan()).commandId);
    // Also when it is the only one there, and for a process that starts only now.
    await second.kill();
    await expect(scan()).rejects.toThrow(/503/);
    const config = readConfig({ ...node.environment });
    const found = await openPrimary(
      config,
      config.systemDatabase,
      createLogger({ level: 'silent', role: 'test' }),
    );
    await expect(found.found()).rejects.toMatchObject({ code: 'overloaded' });
    await found.stop();
    expect(await first.query(count, 'atlas')).toEqual(before);
    await second.start();
    await vi.waitFor(async () => acknowledged.push((await scan()).commandId), patience);
    await nothingIsLost(second);
  }, 300_000);

  it('is followed again by the former primary once that was made anew as a standby', async () => {
    await first.remove();
    first = await second.standby('atlas_first', first.port);
    await commitOn(second, 'atlas_first');
    await vi.waitFor(async () => expect((await health()).warnings).toEqual([]), patience);
    acknowledged.push((await scan()).commandId);
    const told = await runServerCommand(node, ['database']);
    expect([told.exitCode, JSON.parse(told.output)]).toEqual([
      0,
      {
        addresses: [
          { address: `127.0.0.1:${first.port}`, role: 'follows', behindBytes: expect.any(Number), why: null },
          { address: `127.0.0.1:${second.port}`, role: 'serves', behindBytes: null, why: null },
        ],
        warnings: [],
      },
    ]);
    await nothingIsLost(second);
  }, 180_000);
});
