import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import type { CommandResult } from '#contract/results.ts';
import type { ResultDraft } from '../../server/src/features/commands/commands.repository.ts';
import { Sequencer } from '../../server/src/features/commands/commands.sequencer.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { newLogKey, startAuditProcess, type AuditProcess } from '../harness/auditLog.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';

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

function draftOf(seq: number): ResultDraft {
  const at = new Date().toISOString();
  const result: CommandResult = {
    ...{ v: 1, seq, agent: agentId, host: hostId, commandId: newId(), verb: 'agent.noop' },
    ...{ releaseId: null, runId: null, hostRunId: null, step: null, fence: 0, outcome: 'succeeded' },
    ...{
      code: 'ok',
      detail: '',
      facts: {},
      startedAt: at,
      endedAt: at,
      bootId: 'b',
      journalHead: '0'.repeat(64),
    },
  };
  const payload = Buffer.from(JSON.stringify(result));
  return {
    tenantId,
    result,
    payload,
    payloadSha256: '0'.repeat(64),
    signature: Buffer.from('s'),
    isVisited: false,
  };
}

describe('a result that comes again after a commit whose answer was lost', () => {
  it('has one row and one entry in the log, also when both come at the same moment', async () => {
    const sequencer = new Sequencer({ db: audit.db, audit: audit.writer, committed: () => undefined });
    const [first, second] = [draftOf(1), draftOf(2)];
    await sequencer.append([first]);
    await sequencer.append([first]);
    await Promise.all([sequencer.append([second]), sequencer.append([second])]);
    const rows = await client.query('select seq from command_results order by seq');
    expect(rows.rows.map((row: { seq: string }) => Number(row.seq))).toEqual([1, 2]);
    const entries = await client.query(
      `select subject_id as id from audit_entries where action = 'command.result' order by entry_id`,
    );
    expect(entries.rows).toEqual([{ id: first.result.commandId }, { id: second.result.commandId }]);
  });
});
