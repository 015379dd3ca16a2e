import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import { packResults, type CommandResult } from '#contract/results.ts';
import { Sequencer } from '../../server/src/features/commands/commands.sequencer.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { newLogKey, startAuditProcess, type AuditProcess } from '../harness/auditLog.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';

interface Tenant {
  readonly tenantId: string;
  readonly hostId: string;
  readonly agentId: string;
  seq: number;
}

const principal = { kind: 'system', id: null } as const;
let database: TestDatabase;
let audit: AuditProcess;
let client: pg.Client;
let loud: Tenant;
let quiet: Tenant;

async function newTenant(slug: string): Promise<Tenant> {
  const [tenantId, siteId, hostId, agentId] = [newId(), newId(), newId(), newId()];
  await client.query('insert into tenants (id, name, slug) values ($1, $2, $2)', [tenantId, slug]);
  await client.query(
    `insert into sites (id, tenant_id, name, time_zone) values ($1, $2, 'S', 'Europe/Paris')`,
    [siteId, tenantId],
  );
  await client.query(
    `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks) values ($1, $2, $3, 'h', $4, '[]')`,
    [hostId, tenantId, siteId, '0'.repeat(64)],
  );
  await client.query(
    'insert into agents (id, tenant_id, host_id, result_public_key) values ($1, $2, $3, $4)',
    [...[agentId, tenantId, hostId, Buffer.from('key')]],
  );
  return { tenantId, hostId, agentId, seq: 0 };
}

/** A sequencer, and what each of its commits made durable, by tenant. */
function open(maxWaiting?: number) {
  const flushes: string[][] = [];
  const sequencer = new Sequencer({
    ...{ db: audit.db, audit: audit.writer, newId },
    committed: (readings) => flushes.push(readings.map(({ tenantId }) => tenantId)),
    ...(maxWaiting === undefined ? {} : { maxWaiting }),
  });
  const submit = ({ tenantId, hostId, agentId }: Tenant): Promise<void> => {
    const expiresAtMs = Date.now() + 60_000;
    const draft = { id: newId(), tenantId, hostId, agentId, verb: 'agent.noop' as const, expiresAtMs };
    return sequencer.submit(draft, principal);
  };
  const append = (tenant: Tenant, count: number): Promise<void> => sequencer.append([frameOf(tenant, count)]);
  return { flushes, submit, append };
}

function frameOf(tenant: Tenant, count: number) {
  const at = new Date().toISOString();
  const { tenantId, agentId, hostId } = tenant;
  const fresh = Array.from({ length: count }, (): CommandResult => {
    tenant.seq += 1;
    return {
      ...{ v: 1, seq: tenant.seq, agent: agentId, host: hostId, commandId: newId(), verb: 'agent.noop' },
      ...{ releaseId: null, runId: null, hostRunId: null, step: null, fence: 0, outcome: 'succeeded' },
      ...{ code: 'ok', detail: '', facts: {}, startedAt: at, endedAt: at, bootId: 'b' },
      journalHead: '0'.repeat(64),
    };
  });
  const payload = Buffer.from(JSON.stringify(packResults(fresh)));
  return { tenantId, agentId, fresh, payload, signature: Buffer.from('s'), isVisited: false };
}

const codeOf = (work: Promise<void>): Promise<unknown> =>
  work.then(
    () => null,
    (error: { code?: unknown }) => error.code,
  );
/** `submit` may refuse before it promises anything. */
const tried = (work: () => Promise<void>): Promise<unknown> => codeOf(Promise.resolve().then(work));

beforeAll(async () => {
  database = await createTestDatabase();
  audit = await startAuditProcess(database, { key: newLogKey() });
  client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  [loud, quiet] = [await newTenant('loud'), await newTenant('quiet')];
});

afterAll(async () => {
  await client.end();
  await audit.stop();
  await database.drop();
});

describe('a tenant that floods the server', () => {
  it('does not keep another one’s command out of the next commit', async () => {
    const { flushes, submit } = open();
    const flood = Array.from({ length: 5_000 }, () => submit(loud));
    const asked = submit(quiet);
    await asked;
    expect(flushes.length).toBe(1);
    expect(flushes[0]?.filter((tenantId) => tenantId === quiet.tenantId).length).toBe(1);
    expect(flushes[0]?.length).toBeLessThan(5_000);
    await Promise.all(flood);
  });

  it('does not keep another one’s results out of the next commit', async () => {
    const { append } = open();
    let held = 0;
    const flood = Array.from({ length: 50 }, () => append(loud, 200).then(() => (held += 200)));
    await append(quiet, 1);
    expect(held).toBeLessThan(5_000);
    await Promise.all(flood);
    expect(held).toBe(10_000);
  });

  it('is told to come later while others are still heard, and everybody only when all is full', async () => {
    const { submit, append } = open(40);
    const first = Array.from({ length: 10 }, () => submit(loud));
    expect(await tried(() => submit(loud))).toBe('rate_limited');
    await Promise.all(first);
    const others = [quiet];
    for (const slug of ['third', 'fourth', 'fifth']) others.push(await newTenant(slug));
    const full = others.flatMap((tenant) => Array.from({ length: 10 }, () => codeOf(submit(tenant))));
    const refused = tried(() => submit(loud));
    // What agents have to say is taken all the same.
    const results = codeOf(append(loud, 10));
    expect(await refused).toBe('overloaded');
    expect(await Promise.all(full)).toEqual(full.map(() => null));
    expect(await results).toBeNull();
  });
});
