import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import { packResults, type CommandResult } from '#contract/results.ts';
import { Sequencer } from '../../server/src/features/commands/commands.sequencer.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { newLogKey, startAuditProcess, type AuditProcess } from '../harness/auditLog.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';
import { heldResults } from '../harness/signed-results.ts';

const [tenantId, siteId, hostId, agentId] = [newId(), newId(), newId(), newId()];
let database: TestDatabase;
let audit: AuditProcess;
let client: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  audit = await startAuditProcess(database, { key: newLogKey() });
  client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  await client.query(`insert into tenants (id, name, slug) values ($1, 'T', 't')`, [tenantId]);
  await client.query(
    `insert into sites (id, tenant_id, name, time_zone) values ($1, $2, 'S', 'Europe/Paris')`,
    [siteId, tenantId],
  );
  await client.query(
    `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks) values ($1, $2, $3, 'h', $4, '[]')`,
    [hostId, tenantId, siteId, '0'.repeat(64)],
  );
  await client.query(
    `insert into agents (id, tenant_id, host_id, result_public_key) values ($1, $2, $3, $4)`,
    [...[agentId, tenantId, hostId, Buffer.from('key')]],
  );
});

afterAll(async () => {
  await client.end();
  await audit.stop();
  await database.drop();
});

function frameOf(seq: number) {
  const at = new Date().toISOString();
  const result: CommandResult = {
    ...{ v: 1, seq, agent: agentId, host: hostId, commandId: newId(), verb: 'agent.noop' },
    ...{ releaseId: null, runId: null, hostRunId: null, step: null, fence: 0, outcome: 'succeeded' },
    ...{ code: 'ok', detail: '', facts: {}, startedAt: at, endedAt: at, bootId: 'b' },
    journalHead: '0'.repeat(64),
  };
  const payload = Buffer.from(JSON.stringify(packResults([result])));
  return { tenantId, agentId, fresh: [result], payload, signature: Buffer.from('s'), isVisited: false };
}

describe('a result that comes again after a commit whose answer was lost', () => {
  it('is kept once and has one entry in the log, also when both come at the same moment', async () => {
    const sequencer = new Sequencer({
      ...{ db: audit.db, audit: audit.writer, newId },
      committed: () => undefined,
    });
    const [first, second] = [frameOf(1), frameOf(2)];
    await sequencer.append([first]);
    await sequencer.append([first]);
    await Promise.all([sequencer.append([second]), sequencer.append([second])]);
    const held = await client.query<{ seq: number }>(`select seq from ${heldResults} r order by seq`);
    expect(held.rows.map(({ seq }) => seq)).toEqual([1, 2]);
    const entries = await client.query(
      `select subject_id as id from audit_entries where action = 'command.result' order by entry_id`,
    );
    expect(entries.rows).toEqual([first, second].map(({ fresh }) => ({ id: fresh[0]?.commandId })));
  });
});
