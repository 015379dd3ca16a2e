import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { acceptPolicyChain } from '../../agent/src/verify/policyChain.check.ts';
import { createSigningKey, createSoftPasskey, loadSoftPasskey } from '../../cli/softkey.ts';
import { verifySignature } from '../../server/src/features/trust/signatures.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createApprovers, origin, rpId, type Approver } from '../harness/approvers.ts';
import { admin, newRootKey, signRoots, startHostsWorld, type HostsWorld } from '../harness/hosts-world.ts';
import { sha256Hex } from '../../agent/src/trust/bytes.ts';

const roots = [newRootKey(), newRootKey(), newRootKey()];
const rootKeys = roots.map(({ keyId, publicKey }) => ({ keyId, publicKey }));
let world: HostsWorld;
let folder: string;
let tenantId: string;
let approvers: ReturnType<typeof createApprovers>;
let people: Approver[];

const draft = (wish: { rootThreshold?: number; removeKeyIds?: string[]; rootKeys?: typeof rootKeys } = {}) =>
  world.trust.service.draft(tenantId, admin, { removeKeyIds: [], ...wish });
const publish = (envelope: Envelope) => world.trust.service.publish(tenantId, admin, envelope);
const refused = (code: string) => expect.objectContaining({ code }) as Error;

beforeAll(async () => {
  world = await startHostsWorld();
  folder = await mkdtemp(path.join(tmpdir(), 'atlas-keys-'));
  ({ tenantId } = await world.createTenant());
  approvers = createApprovers(world, tenantId, folder);
  people = [];
  for (const name of ['alice', 'bernard', 'claire']) people.push(await approvers.newApprover(name));
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
    const person = await approvers.newPerson('david');
    const passkey = await createSoftPasskey(path.join(folder, 'david.key'), { rpId, origin });
    const service = approvers.keys;
    const make = (challenge: string, key = passkey) =>
      service.create(tenantId, person, { kind: 'webauthn', response: key.register({ challenge }) });
    const ask = () => approvers.challengeFor(person);

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
    const person = await approvers.newPerson('elise');
    const key = await createSigningKey(path.join(folder, 'elise.pem'));
    const service = approvers.keys;
    const ask = () => approvers.challengeFor(person);
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
    await expect(approvers.keys.start(tenantId, machine)).rejects.toMatchObject({ code: 'forbidden' });
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
    const { passkey, ...person } = await approvers.newApprover('franck');
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
