import { createHash, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { payloadTypes } from '#contract/dsse.ts';
import type { LockDocument, PolicyDocument } from '#contract/trust.ts';
import { createWorld, jcs } from '../../../test/harness/release-world.ts';
import { createEd25519Key, signEnvelope } from '../../../test/harness/software-key.ts';
import type { SoftwareKey } from '../../../test/harness/software-key.ts';
import { openLock } from './lockDocument.check.ts';
import { acceptFirstPolicy, acceptNextPolicy, acceptPolicyChain } from './policyChain.check.ts';

const world = createWorld();
const [a, b, c] = [createEd25519Key(), createEd25519Key(), createEd25519Key()];
const rootsOf = (...keys: SoftwareKey[]) =>
  keys.map((key) => ({ keyId: key.keyId, publicKey: key.publicKey }));
const first: PolicyDocument = { ...world.policy, epoch: 1, rootKeys: rootsOf(a, b), rootThreshold: 2 };
const second: PolicyDocument = { ...first, epoch: 2 };
const sign = (policy: PolicyDocument, ...keys: SoftwareKey[]) =>
  signEnvelope(payloadTypes.policy, jcs(policy), keys);
const pin = { tenantId: world.tenantId, policySha256: createHash('sha256').update(jcs(first)).digest('hex') };

describe('the first policy document', () => {
  it('is accepted by the digest in the token', () => {
    expect(acceptFirstPolicy(sign(first, a, b), pin)).toEqual(first);
  });

  it('is refused when the digest, the tenant or the signatures differ', () => {
    expect(acceptFirstPolicy(sign({ ...first, rpIds: ['evil.test'] }, a, b), pin)).toMatchObject({
      code: 'bad_signature',
    });
    expect(acceptFirstPolicy(sign(first, a, b), { ...pin, tenantId: randomUUID() })).toMatchObject({
      code: 'wrong_tenant',
    });
    expect(acceptFirstPolicy(sign(first, a), pin)).toMatchObject({ code: 'threshold_not_met' });
    expect(acceptFirstPolicy(undefined, pin)).toMatchObject({ code: 'malformed' });
  });
});

describe('the next policy document', () => {
  it('is accepted when old and new root keys signed', () => {
    expect(acceptNextPolicy(sign(second, a, b), first)).toEqual(second);
    const moved = { ...second, rootKeys: rootsOf(b, c) };
    expect(acceptNextPolicy(sign(moved, a, b, c), first)).toEqual(moved);
  });

  it('is refused when the current root keys did not sign, however many others did', () => {
    const taken = { ...second, rootKeys: rootsOf(c), rootThreshold: 1 };
    expect(acceptNextPolicy(sign(taken, c), first)).toMatchObject({ code: 'threshold_not_met' });
    expect(acceptNextPolicy(sign(taken, a, c), first)).toMatchObject({ code: 'threshold_not_met' });
    expect(acceptNextPolicy(sign(second, a, a), first)).toMatchObject({ code: 'threshold_not_met' });
  });

  it('is refused when its own root keys did not sign', () => {
    expect(acceptNextPolicy(sign({ ...second, rootKeys: rootsOf(b, c) }, a, b), first)).toMatchObject({
      code: 'threshold_not_met',
    });
  });

  it('counts one root key once, however often it is listed', () => {
    const doubled = { ...first, rootKeys: [...rootsOf(a), ...rootsOf(a)] };
    expect(acceptNextPolicy(sign({ ...second, rootKeys: rootsOf(a, b) }, a, b), doubled)).toMatchObject({
      code: 'threshold_not_met',
    });
  });

  it('is refused when an epoch is left out, repeated or of another tenant', () => {
    expect(acceptNextPolicy(sign({ ...second, epoch: 3 }, a, b), first)).toMatchObject({
      code: 'wrong_epoch',
    });
    expect(acceptNextPolicy(sign(first, a, b), first)).toMatchObject({ code: 'wrong_epoch' });
    expect(acceptNextPolicy(sign({ ...second, tenant: randomUUID() }, a, b), first)).toMatchObject({
      code: 'wrong_tenant',
    });
  });

  it('is refused in an envelope of another type', () => {
    expect(acceptNextPolicy(signEnvelope(payloadTypes.command, jcs(second), [a, b]), first)).toMatchObject({
      code: 'wrong_payload_type',
    });
  });

  it('extends a chain link by link', () => {
    expect(acceptPolicyChain([sign(first, a, b), sign(second, a, b)], pin)).toEqual(second);
    expect(acceptPolicyChain([sign(first, a, b), sign({ ...second, epoch: 3 }, a, b)], pin)).toMatchObject({
      code: 'wrong_epoch',
    });
    expect(acceptPolicyChain([], pin)).toMatchObject({ code: 'malformed' });
  });
});

describe('the emergency stop', () => {
  const key = (n: number) => world.people[n]!.key;
  const lock = (bend: Partial<LockDocument>, ...keys: SoftwareKey[]) =>
    signEnvelope(
      payloadTypes.lock,
      jcs({
        v: 1,
        tenant: world.tenantId,
        serial: 5,
        state: 'locked',
        scope: { kind: 'tenant' },
        issuedAt: new Date().toISOString(),
        by: world.people[0]!.personId,
        reason: 'Ransomware in the building',
        ...bend,
      }),
      keys,
    );

  it('takes one person to press and two to release', () => {
    expect(openLock(lock({}, key(0)), world.policy, 4)).toMatchObject({ state: 'locked' });
    expect(openLock(lock({ state: 'open' }, key(0), key(1)), world.policy, 4)).toMatchObject({
      state: 'open',
    });
    expect(openLock(lock({ state: 'open' }, key(0)), world.policy, 4)).toMatchObject({
      code: 'threshold_not_met',
    });
    expect(openLock(lock({ state: 'open' }, key(0), key(0)), world.policy, 4)).toMatchObject({
      code: 'threshold_not_met',
    });
    expect(openLock(lock({}), world.policy, 4)).toMatchObject({ code: 'threshold_not_met' });
  });

  it('is refused from strangers, from the past and from another tenant', () => {
    expect(openLock(lock({}, createEd25519Key()), world.policy, 4)).toMatchObject({ code: 'signer_unknown' });
    expect(openLock(lock({}, key(0)), world.policy, 5)).toMatchObject({ code: 'replayed' });
    expect(openLock(lock({ tenant: randomUUID() }, key(0)), world.policy, 4)).toMatchObject({
      code: 'wrong_tenant',
    });
    expect(openLock({}, world.policy, 4)).toMatchObject({ code: 'malformed' });
  });
});
