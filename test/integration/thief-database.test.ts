import canonicalize from 'canonicalize';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { payloadTypes } from '#contract/dsse.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createWebAuthnKey } from '../harness/software-key.ts';
import { patience, ThiefWorld } from '../harness/thief-world.ts';
import { heldResults } from '../harness/signed-results.ts';

const jcs = (value: unknown): Buffer => Buffer.from(canonicalize(value) ?? '');

let world: ThiefWorld;
let desk: ThiefWorld['desk'];
let agent: ThiefWorld['agent'];
let thief: ThiefWorld['thief'];

beforeAll(async () => {
  world = await ThiefWorld.open();
  ({ desk, agent, thief } = world);
}, 180_000);

afterAll(() => world.close());

describe('honest people', () => {
  it('get every step of what they released done, once', async () => {
    const { release: made } = await world.release([agent.hostId], ['alice', 'bernard']);
    expect(await world.endedRun(made.runId)).toBe('completed');
    expect(agent.effects).toEqual([
      'host.preflight',
      'guard.create',
      'updates.download',
      'updates.install',
      'health.verify',
      'guard.commit',
    ]);
    agent.effects.length = 0;
  });
});

describe('a thief in the database, while the honest server runs', () => {
  it('edits what the host will be told, between the signatures: the agent finds it in no signed tree', async () => {
    const half = await world.release([agent.hostId], ['alice']);
    const evil = jcs(thief.wish(agent, half.release.id));
    await desk.query('update release_targets set document = $2 where release_id = $1', [
      half.release.id,
      evil,
    ]);
    expect((await desk.sign('bernard', half)).status).toBe(201);
    await vi.waitFor(
      async () => expect(await world.codesOf(half.release.runId)).toEqual(['not_a_target']),
      patience,
    );
    expect(await world.endedRun(half.release.runId)).toBe('completed_with_failures');
  });

  it('lowers the number of people that a release needs: the agent counts for itself', async () => {
    const none = await world.release([agent.hostId], []);
    await desk.query('update releases set signatures_needed = 1 where id = $1', [none.release.id]);
    expect((await desk.sign('alice', none)).body.release.state).toBe('approved');
    await vi.waitFor(
      async () => expect(await world.codesOf(none.release.runId)).toEqual(['threshold_not_met']),
      patience,
    );
    await world.endedRun(none.release.runId);
  });

  it('puts his own key under the name of an approver: the agent has pinned the other', async () => {
    const half = await world.release([agent.hostId], ['bernard']);
    const own = createWebAuthnKey({ rpId: 'localhost', origin: 'http://localhost:49999' });
    const { keyId } = desk.passkey('alice');
    const [row] = await desk.query<{ payload: Buffer }>(
      'select payload from policy_documents order by epoch desc',
    );
    const before = row?.payload ?? Buffer.alloc(0);
    const document = JSON.parse(before.toString()) as { approvers: { keyId: string; publicKey: string }[] };
    for (const key of document.approvers) if (key.keyId === keyId) key.publicKey = own.publicKey;
    await desk.query('update policy_documents set payload = $1', [jcs(document)]);
    const signature = {
      ...own.sign(payloadTypes.command, Buffer.from(half.payload, 'base64url')),
      keyid: keyId,
    };
    expect((await desk.sign('alice', half, signature)).body.release.state).toBe('approved');
    await desk.query('update policy_documents set payload = $1', [before]);
    await vi.waitFor(
      async () => expect(await world.codesOf(half.release.runId)).toEqual(['bad_signature']),
      patience,
    );
    await world.endedRun(half.release.runId);
  });

  it('writes a command of his own: without a release the agent only reads', async () => {
    const commandId = newId();
    await desk.query(
      `insert into commands (id, tenant_id, agent_id, host_id, verb, expires_at)
       values ($1, $2, $3, $4, 'host.restart', now() + interval '1 hour')`,
      [commandId, desk.tenantId, agent.agentId, agent.hostId],
    );
    // What an agent has not answered is handed over when it comes back.
    await agent.stop();
    await agent.start();
    await vi.waitFor(async () => {
      const rows = await desk.query(`select code from ${heldResults} r where command_id = $1`, [commandId]);
      expect(rows).toEqual([{ code: 'order_not_released' }]);
    }, patience);
  });

  it('has caused nothing', () => {
    expect(agent.effects).toEqual([]);
  });
});
