import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServerFrame } from '#contract/agent-link.ts';
import { payloadTypes } from '#contract/dsse.ts';
import { openLock } from '../../agent/src/verify/lockDocument.check.ts';
import { createSoftPasskey } from '../../cli/softkey.ts';
import { createApprovers, origin, rpId, type Approver } from '../harness/approvers.ts';
import { admin, publishFirstPolicy, startHostsWorld, type HostsWorld } from '../harness/hosts-world.ts';
import { enrolled, LinkClient } from '../harness/link-client.ts';

let world: HostsWorld;
let folder: string;
let tenantId: string;
let siteId: string;
let alice: Approver;
let bernard: Approver;
let lockBy: ReturnType<typeof createApprovers>['lockBy'];

beforeAll(async () => {
  world = await startHostsWorld();
  folder = await mkdtemp(path.join(tmpdir(), 'atlas-keys-'));
  ({ tenantId, siteId } = await world.createTenant());
  const approvers = createApprovers(world, tenantId, folder);
  lockBy = approvers.lockBy;
  alice = await approvers.newApprover('alice');
  bernard = await approvers.newApprover('bernard');
  await publishFirstPolicy(world, tenantId);
}, 120_000);

afterAll(async () => {
  await world.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('the emergency stop', () => {
  it('is made by one approver, reaches connected agents unasked, and is ended by two', async () => {
    const { token } = await world.agents.enrolment.createToken(tenantId, admin, {
      siteId,
      expiresInMinutes: 5,
    });
    const identity = await enrolled(token);
    const client = new LinkClient(identity.agentsUrl, { ca: identity.caPem, cert: identity.chainPem });
    await client.opened();
    client.hello({ policyEpoch: identity.policies.length });
    expect((await client.frame('lock')).envelope).toBeNull();

    const locked = await world.trust.locks.close(
      tenantId,
      alice,
      await lockBy([alice], 'locked', 'strange traffic'),
    );
    expect(locked).toMatchObject({ locked: true, serial: 1, byName: 'alice', reason: 'strange traffic' });
    const told = await client.until(() =>
      client.frames.find(
        (frame): frame is Extract<ServerFrame, { type: 'lock' }> =>
          frame.type === 'lock' && frame.envelope !== null,
      ),
    );
    const policy = await world.db.inTenant(tenantId, (tx) => world.trust.service.current(tx));
    if (policy === null) throw new Error('no policy');
    expect(openLock(told.envelope, policy.document, 0)).toMatchObject({ state: 'locked', serial: 1 });

    const half = await world.trust.locks.open(tenantId, alice, await lockBy([alice], 'open', 'false alarm'));
    expect(half).toMatchObject({ locked: true, opening: { signedBy: [alice.id], needed: 2 } });
    // The same person again is still one person.
    const twice = await world.trust.locks.open(tenantId, alice, await lockBy([alice], 'open', 'false alarm'));
    expect(twice.locked).toBe(true);
    const open = await world.trust.locks.open(
      tenantId,
      bernard,
      await lockBy([bernard], 'open', 'false alarm'),
    );
    expect(open).toMatchObject({ locked: false, serial: 2, opening: null });
    const ended = await client.until(() =>
      client.frames.find(
        (frame): frame is Extract<ServerFrame, { type: 'lock' }> =>
          frame.type === 'lock' && frame.envelope !== null && frame.envelope.signatures.length === 2,
      ),
    );
    expect(openLock(ended.envelope, policy.document, 1)).toMatchObject({ state: 'open', serial: 2 });
    client.end();
    expect(await world.audited(tenantId)).toEqual(expect.arrayContaining(['lock.closed', 'lock.opened']));
  });

  it('of an old serial, of a stranger, or signed by nobody is refused', async () => {
    const { locks } = world.trust;
    const good = await lockBy([alice], 'locked');
    await expect(locks.close(tenantId, alice, { ...good, signatures: [] })).rejects.toMatchObject({
      code: 'signature_refused',
    });
    const key = await createSoftPasskey(path.join(folder, 'stranger.key'), { rpId, origin });
    const stranger = {
      ...good,
      signatures: [key.sign(payloadTypes.lock, Buffer.from(good.payload, 'base64url'))],
    };
    await expect(locks.close(tenantId, alice, stranger)).rejects.toMatchObject({ code: 'signature_refused' });
    await expect(locks.open(tenantId, alice, good)).rejects.toMatchObject({ code: 'signature_refused' });
    await locks.close(tenantId, alice, good);
    await expect(locks.close(tenantId, alice, good)).rejects.toMatchObject({ code: 'conflict' });
    await expect(lockBy([alice], 'locked')).rejects.toMatchObject({ code: 'transition_refused' });
  });

  it('made anew while an opening waits makes the opening worthless', async () => {
    const { locks } = world.trust;
    const opening = await lockBy([alice], 'open');
    await locks.open(tenantId, alice, opening);
    const second = await lockBy([bernard], 'open');
    expect(second.payload).toBe(opening.payload);
    await locks.close(tenantId, bernard, await lockBy([bernard], 'locked'));
    await expect(locks.open(tenantId, bernard, second)).rejects.toMatchObject({ code: 'conflict' });
    expect((await locks.state(tenantId)).locked).toBe(true);
  });

  it('of nothing cannot be ended', async () => {
    const other = await world.createTenant();
    const wish = { state: 'open', runId: null, reason: 'x' } as const;
    await expect(world.trust.locks.draft(other.tenantId, alice, wish)).rejects.toMatchObject({
      code: 'transition_refused',
    });
  });
});
