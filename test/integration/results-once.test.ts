import { generateKeyPairSync, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { packResults, type CommandResult } from '#contract/results.ts';
import { createCommandsModule } from '../../server/src/features/commands/commands.module.ts';
import { Sequencer } from '../../server/src/features/commands/commands.sequencer.ts';
import { systemClock } from '../../server/src/platform/clock.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { newLogKey, startAuditProcess, type AuditProcess } from '../harness/auditLog.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';
import { signedBytes } from '../harness/dsse-bytes.ts';
import { heldResults } from '../harness/signed-results.ts';

const [tenantId, siteId, hostId, agentId] = [newId(), newId(), newId(), newId()];
const resultKeys = generateKeyPairSync('ed25519');
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

function resultOf(seq: number): CommandResult {
  const at = new Date().toISOString();
  return {
    ...{ v: 1, seq, agent: agentId, host: hostId, commandId: newId(), verb: 'agent.noop' },
    ...{ releaseId: null, runId: null, hostRunId: null, step: null, fence: 0, outcome: 'succeeded' },
    ...{ code: 'ok', detail: '', facts: {}, startedAt: at, endedAt: at, bootId: 'b' },
    journalHead: '0'.repeat(64),
  };
}

function frameOf(seq: number) {
  const result = resultOf(seq);
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

/** What the agent signs at once. */
function signed(results: readonly CommandResult[]): Envelope {
  const payload = Buffer.from(JSON.stringify(packResults(results)));
  const signature = sign(null, signedBytes(payloadTypes.results, payload), resultKeys.privateKey);
  return {
    payloadType: payloadTypes.results,
    payload: payload.toString('base64url'),
    signatures: [{ kind: 'ed25519', keyid: 'result', signature: signature.toString('base64url') }],
  };
}

/** A server whose next flush waits until it is let go. */
function createHesitant() {
  const gate = Promise.withResolvers<undefined>();
  const db: typeof audit.db = Object.create(audit.db, {
    inSystem: {
      value: async (...[reason, work]: Parameters<typeof audit.db.inSystem>) => {
        if (reason === 'commands.flush') await gate.promise;
        return audit.db.inSystem(reason, work);
      },
    },
  }) as typeof audit.db;
  const { service } = createCommandsModule({
    ...{ db, audit: audit.writer, clock: systemClock, newId },
    log: createLogger({ level: 'silent', role: 'test' }),
    link: { isConnected: () => true, send: () => 'sent' as const, disconnect: () => undefined },
    bundleFor: () => Promise.reject(new Error('nothing is released here')),
    resultKeyOf: () => Promise.resolve(resultKeys.publicKey.export({ type: 'spki', format: 'der' })),
  });
  return { service, go: () => gate.resolve(undefined) };
}

describe('an agent that comes back while what it brought is being stored', () => {
  it('is told that this is held, and brings it no second time', async () => {
    const { service, go } = createHesitant();
    const agent = { tenantId, agentId, hostId };
    await service.connected(agent);
    const before = await service.resultsHeld(tenantId, agentId);
    const [first, second] = [resultOf(before + 1), resultOf(before + 2)];
    const storing = service.receiveResults(agent, { type: 'results', envelopes: [signed([first])] });
    // Its signature is looked at, then it waits to be stored.
    await new Promise((resolve) => setTimeout(resolve, 50));
    service.disconnected(agent);
    const back = service.connected(agent);
    setTimeout(go, 50);
    await Promise.all([storing, back]);
    expect(await service.resultsHeld(tenantId, agentId)).toBe(first.seq);
    // The agent does not know that yet: it sends both.
    await service.receiveResults(agent, { type: 'results', envelopes: [signed([first, second])] });
    await service.stop();
    const { rows } = await client.query<{ first: string; last: string }>(
      'select first_seq as first, last_seq as last from result_frames where agent_id = $1 and last_seq > $2 order by last_seq',
      [agentId, before],
    );
    expect(rows.map(({ first: from, last }) => [Number(from), Number(last)])).toEqual([
      [first.seq, first.seq],
      [second.seq, second.seq],
    ]);
  });
});
