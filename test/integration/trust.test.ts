import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import type { ServerFrame } from '#contract/agent-link.ts';
import { openLock } from '../../agent/src/verify/lockDocument.check.ts';
import { acceptPolicyChain } from '../../agent/src/verify/policyChain.check.ts';
import { createSigningKey, createSoftPasskey, loadSoftPasskey, type SoftPasskey } from '../../cli/softkey.ts';
import { ApproverKeysService } from '../../server/src/features/trust/approverKeys.service.ts';
import { verifySignature } from '../../server/src/features/trust/signatures.ts';
import { newId } from '../../server/src/platform/ids.ts';
import {
  admin,
  newRootKey,
  publicUrl,
  signRoots,
  startHostsWorld,
  type HostsWorld,
} from '../harness/hosts-world.ts';
import { enrolled, LinkClient } from '../harness/link-client.ts';
import { sha256Hex } from '../../agent/src/trust/bytes.ts';

interface Approver {
  readonly kind: 'person';
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly passkey: SoftPasskey;
}

const roots = [newRootKey(), newRootKey(), newRootKey()];
const rootKeys = roots.map(({ keyId, publicKey }) => ({ keyId, publicKey }));
const { origin, hostname: rpId } = new URL(publicUrl);
let world: HostsWorld;
let folder: string;
let tenantId: string;
let siteId: string;
let people: Approver[];

async function newApprover(name: string): Promise<Omit<Approver, 'passkey'>> {
  const id = newId();
  await world.db.inSystem('tests.person', async (tx) => {
    await tx.insertInto('people').values({ id, subject: id, username: name, name }).execute();
    await tx
      .insertInto('memberships')
      .values({ tenant_id: tenantId, person_id: id, roles: ['approver'] })
      .execute();
  });
  return { kind: 'person', id, name, email: `${name}@example.org` };
}

function keysService(): ApproverKeysService {
  const { db, clock } = world;
  return new ApproverKeysService({ ...world.trustDeps, db, clock });
}

async function enrolPasskey(
  person: Omit<Approver, 'passkey'>,
  file = `${person.id}.key`,
): Promise<SoftPasskey> {
  const passkey = await createSoftPasskey(path.join(folder, file), { rpId, origin });
  const { challenge } = (await keysService().start(tenantId, person)) as { challenge: string };
  await keysService().create(tenantId, person, {
    kind: 'webauthn',
    response: passkey.register({ challenge }),
  });
  return passkey;
}

const draft = (wish: { rootThreshold?: number; removeKeyIds?: string[]; rootKeys?: typeof rootKeys } = {}) =>
  world.trust.service.draft(tenantId, admin, { removeKeyIds: [], ...wish });
const publish = (envelope: Envelope) => world.trust.service.publish(tenantId, admin, envelope);
const refused = (code: string) => expect.objectContaining({ code }) as Error;

/** A signed lock document of these people. */
async function lockBy(
  signers: readonly Approver[],
  state: 'locked' | 'open',
  reason = 'test',
): Promise<Envelope> {
  const [first] = signers;
  if (first === undefined) throw new Error('nobody signs');
  const { payload } = await world.trust.locks.draft(tenantId, first, { state, runId: null, reason });
  const bytes = Buffer.from(payload, 'base64url');
  const signatures = signers.map(({ passkey }) => passkey.sign(payloadTypes.lock, bytes));
  return { payloadType: payloadTypes.lock, payload, signatures };
}

beforeAll(async () => {
  world = await startHostsWorld();
  folder = await mkdtemp(path.join(tmpdir(), 'atlas-keys-'));
  ({ tenantId, siteId } = await world.createTenant());
  people = [];
  for (const name of ['alice', 'bernard', 'claire']) {
    const person = await newApprover(name);
    people.push({ ...person, passkey: await enrolPasskey(person) });
  }
}, 120_000);

afterAll(async () => {
  await world.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('a signing key', () => {
  it('of software says so, and its file is its owner’s alone', async () => {
    const state = await world.trust.service.state(tenantId);
    expect(state.keys.map(({ key, state: at }) => [key.personName, key.custody, at])).toEqual([
      ['alice', 'software', 'pending'],
      ['bernard', 'software', 'pending'],
      ['claire', 'software', 'pending'],
    ]);
    const file = path.join(folder, `${people[0]?.id}.key`);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await loadSoftPasskey(file)).keyId).toBe(people[0]?.passkey.keyId);
  });

  it('is refused for an old challenge, one used before, another site, and a key that is there already', async () => {
    const person = await newApprover('david');
    const passkey = await createSoftPasskey(path.join(folder, 'david.key'), { rpId, origin });
    const service = keysService();
    const make = (challenge: string, key = passkey) =>
      service.create(tenantId, person, { kind: 'webauthn', response: key.register({ challenge }) });
    const ask = async () => ((await service.start(tenantId, person)) as { challenge: string }).challenge;

    await expect(make('AAAA')).rejects.toMatchObject({ code: 'signature_refused' });
    const old = await ask();
    world.clock.ahead(6 * 60_000);
    await expect(make(old)).rejects.toMatchObject({ code: 'signature_refused' });
    world.clock.ahead(0);
    const foreign = await createSoftPasskey(path.join(folder, 'phish.key'), {
      rpId,
      origin: 'https://evil.example',
    });
    await expect(make(await ask(), foreign)).rejects.toMatchObject({ code: 'signature_refused' });
    const good = await ask();
    await make(good);
    await expect(make(good)).rejects.toMatchObject({ code: 'signature_refused' });
    await expect(make(await ask())).rejects.toMatchObject({ code: 'already_exists' });
  });

  it('that is a bare Ed25519 key needs a proof of possession over this challenge by this person', async () => {
    const person = await newApprover('elise');
    const key = await createSigningKey(path.join(folder, 'elise.pem'));
    const service = keysService();
    const ask = async () => ((await service.start(tenantId, person)) as { challenge: string }).challenge;
    const make = (proof: string) =>
      service.create(tenantId, person, { kind: 'ed25519', publicKey: key.publicKey, proof });
    await expect(make(key.prove(tenantId, newId(), await ask()))).rejects.toMatchObject({
      code: 'signature_refused',
    });
    const made = await make(key.prove(tenantId, person.id, await ask()));
    expect(made).toMatchObject({ state: 'pending', key: { keyId: key.keyId, custody: 'software' } });
  });

  it('belongs to a person, never to a machine’s key', async () => {
    const machine = { kind: 'apiKey', id: newId(), name: 'ci', email: null } as const;
    await expect(keysService().start(tenantId, machine)).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('a policy document', () => {
  it('needs root keys to be drafted, and enough of their signatures to be published', async () => {
    await expect(draft()).rejects.toMatchObject({ code: 'policy_refused' });
    const first = await draft({ rootKeys, rootThreshold: 2 });
    expect(first.words).toHaveLength(6);
    const [one, two] = roots;
    if (one === undefined || two === undefined) throw new Error('no keys');
    await expect(publish(signRoots(first, [one]))).rejects.toMatchObject({ code: 'signature_refused' });
    // The same key twice is one key.
    await expect(publish(signRoots(first, [one, one]))).rejects.toMatchObject({ code: 'signature_refused' });
    await expect(publish(signRoots(first, [one, newRootKey()]))).rejects.toMatchObject({
      code: 'signature_refused',
    });
    const state = await publish(signRoots(first, [one, two]));
    expect(state).toMatchObject({ epoch: 1, documentSha256: first.sha256 });
    expect(state.keys.filter((key) => key.state === 'active')).toHaveLength(5);
  });

  it('in another spelling of the same content is refused', async () => {
    const next = await draft();
    const text = Buffer.from(next.payload, 'base64url').toString();
    const spaced = { ...next, payload: Buffer.from(text.replace('{', '{ ')).toString('base64url') };
    await expect(publish(signRoots(spaced, roots))).rejects.toMatchObject({ code: 'signature_refused' });
    const doubled = { ...next, payload: Buffer.from(text.replace('{', '{"v":1,')).toString('base64url') };
    await expect(publish(signRoots(doubled, roots))).rejects.toMatchObject({ code: 'signature_refused' });
    await expect(
      publish({ ...signRoots(next, roots), payloadType: payloadTypes.lock }),
    ).rejects.toMatchObject({
      code: 'signature_refused',
    });
  });

  it('follows the one before by exactly one epoch, of the same tenant', async () => {
    const next = await draft();
    const document = JSON.parse(Buffer.from(next.payload, 'base64url').toString()) as Record<string, unknown>;
    const bend = async (change: object): Promise<Envelope> => {
      const { default: canonicalize } = await import('canonicalize');
      const text = canonicalize({ ...document, ...change }) ?? '';
      return signRoots({ ...next, payload: Buffer.from(text).toString('base64url') }, roots);
    };
    await expect(publish(await bend({ epoch: 1 }))).rejects.toMatchObject({ code: 'conflict' });
    await expect(publish(await bend({ epoch: 3 }))).rejects.toMatchObject({ code: 'conflict' });
    await expect(publish(await bend({ tenant: newId() }))).rejects.toMatchObject({
      code: 'signature_refused',
    });
    await expect(publish(await bend({ verbCatalogueSha256: '0'.repeat(64) }))).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(publish(await bend({ rootThreshold: 4 }))).rejects.toMatchObject({
      code: 'signature_refused',
    });
  });

  it('that changes the root keys is signed by the old and by the new ones, as agents demand', async () => {
    const fresh = [newRootKey(), newRootKey()];
    const next = await draft({
      rootKeys: fresh.map(({ keyId, publicKey }) => ({ keyId, publicKey })),
      rootThreshold: 2,
    });
    await expect(publish(signRoots(next, fresh))).rejects.toMatchObject({ code: 'signature_refused' });
    await expect(publish(signRoots(next, roots))).rejects.toMatchObject({ code: 'signature_refused' });
    await publish(signRoots(next, [...roots, ...fresh]));
    const back = await draft({ rootKeys, rootThreshold: 2 });
    await publish(signRoots(back, [...roots, ...fresh]));
    const chain = await world.db.inTenant(tenantId, (tx) => world.trust.service.chain(tx));
    expect(chain).toHaveLength(3);
    const policySha256 = sha256Hex(Buffer.from(chain[0]?.payload ?? '', 'base64url'));
    expect(acceptPolicyChain(chain, { tenantId, policySha256 })).toMatchObject({ epoch: 3 });
  });

  it('published twice at the same time is published once', async () => {
    const next = signRoots(await draft(), roots);
    const outcomes = await Promise.allSettled([publish(next), publish(next), publish(next)]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toEqual(refused('conflict'));
    }
  });

  it('takes a key away for good', async () => {
    const person = await newApprover('franck');
    const passkey = await enrolPasskey(person);
    await publish(signRoots(await draft(), roots));
    expect(
      await world.db.inTenant(tenantId, (tx) => world.trust.service.keysOfPerson(tx, person.id)),
    ).toHaveLength(1);
    await publish(signRoots(await draft({ removeKeyIds: [passkey.keyId] }), roots));
    const state = await publish(signRoots(await draft(), roots));
    const gone = state.keys.find(({ key }) => key.keyId === passkey.keyId);
    expect(gone?.state).toBe('removed');
    expect(state.document?.approvers.map(({ keyId }) => keyId)).not.toContain(passkey.keyId);
  });

  it('cannot be changed or removed by the server’s own role', async () => {
    for (const statement of [
      sql`update policy_documents set payload = ''`,
      sql`delete from policy_documents`,
    ]) {
      await expect(world.db.inTenant(tenantId, (tx) => statement.execute(tx))).rejects.toMatchObject({
        code: '42501',
      });
    }
  });
});

describe('a signature over a document', () => {
  it('counts for exactly these bytes, this type, this origin and a key of the document', async () => {
    const policy = await world.db.inTenant(tenantId, (tx) => world.trust.service.current(tx));
    const [alice] = people;
    if (policy === null || alice === undefined) throw new Error('no policy');
    const { document } = policy;
    const payload = Buffer.from('{"plan":1}');
    const payloadType = payloadTypes.command;
    const signature = alice.passkey.sign(payloadType, payload);
    const verdict = (change: object) =>
      verifySignature({ document, payload, payloadType, signature, ...change });
    expect(await verdict({})).toMatchObject({ ok: true, key: { personId: alice.id } });
    expect(await verdict({ payload: Buffer.from('{"plan":2}') })).toMatchObject({
      ok: false,
      code: 'bad_signature',
    });
    expect(await verdict({ payloadType: payloadTypes.lock })).toMatchObject({
      ok: false,
      code: 'bad_signature',
    });
    expect(await verdict({ document: { ...document, origins: ['https://other.example'] } })).toMatchObject({
      ok: false,
    });
    expect(await verdict({ document: { ...document, rpIds: ['other.example'] } })).toMatchObject({
      ok: false,
    });
    expect(await verdict({ document: { ...document, approvers: [] } })).toMatchObject({
      ok: false,
      code: 'signer_unknown',
    });
    const weak = Buffer.from(signature.authenticatorData, 'base64url');
    weak[32] = 0x01;
    const unverified = { ...signature, authenticatorData: weak.toString('base64url') };
    expect(await verdict({ signature: unverified })).toMatchObject({ ok: false, code: 'bad_signature' });
  });
});

describe('the emergency stop', () => {
  it('is made by one approver, reaches connected agents within a second, and is ended by two', async () => {
    const { token } = await world.agents.enrolment.createToken(tenantId, admin, {
      siteId,
      expiresInMinutes: 5,
    });
    const identity = await enrolled(token);
    const client = new LinkClient(identity.agentsUrl, { ca: identity.caPem, cert: identity.chainPem });
    await client.opened();
    client.hello({ policyEpoch: identity.policies.length });
    expect((await client.frame('lock')).envelope).toBeNull();

    const [alice, bernard] = people;
    if (alice === undefined || bernard === undefined) throw new Error('nobody');
    const startedMs = Date.now();
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
    expect(Date.now() - startedMs).toBeLessThan(1000);
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
    const [alice] = people;
    if (alice === undefined) throw new Error('nobody');
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
    const [alice, bernard] = people;
    if (alice === undefined || bernard === undefined) throw new Error('nobody');
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
    const [alice] = people;
    if (alice === undefined) throw new Error('nobody');
    const wish = { state: 'open', runId: null, reason: 'x' } as const;
    await expect(world.trust.locks.draft(other.tenantId, alice, wish)).rejects.toMatchObject({
      code: 'transition_refused',
    });
  });
});
