import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Command } from '#contract/agent-link.ts';
import type { ResultCode } from '#contract/results.ts';
import { codeOf, inPast, key, replaceOrder, viewOf, world } from '../../../test/harness/agent-judgement.ts';
import type { Case } from '../../../test/harness/agent-judgement.ts';
import { sampleOrders } from '../../../test/harness/release-world.ts';
import { createEd25519Key, createWebAuthnKey } from '../../../test/harness/software-key.ts';
import type { AssertionOptions } from '../../../test/harness/software-key.ts';
import { verifyReadCommand } from './command.verify.ts';

/** Signs with a passkey of the first person whose assertion is bent; the policy knows that key. */
function withBentPasskey(options: Partial<AssertionOptions>): Case {
  const bent = () => createWebAuthnKey({ rpId: world.rpId, origin: world.origin, ...options });
  let made: ReturnType<typeof bent> | undefined;
  const once = () => (made ??= bent());
  return {
    bend: () => ({ signers: [once(), key(1)] }),
    view: () => {
      const [first, ...others] = world.policy.approvers;
      const approvers = [{ ...first!, keyId: once().keyId, publicKey: once().publicKey }, ...others];
      return viewOf({ policy: { ...world.policy, approvers } });
    },
  };
}

/** One line a check: everything else about the release is as it should be. */
const refusals: [string, ResultCode, Case][] = [
  [
    'a payload above the size limit',
    'too_large',
    { bend: () => ({ payload: (b) => Buffer.concat([b, Buffer.alloc(70_000, 32)]) }) },
  ],
  [
    'a payload of another type',
    'wrong_payload_type',
    { bend: () => ({ payloadType: 'application/vnd.atlas.policy+json; v=1' }) },
  ],
  ['a payload that is no JSON', 'malformed', { bend: () => ({ payload: (b) => b.subarray(1) }) }],
  [
    'a member twice in the payload',
    'malformed',
    { bend: () => ({ payload: (b) => Buffer.from(b.toString().replace('{', '{"v":1,')) }) },
  ],
  [
    'an unknown member in the payload',
    'malformed',
    { bend: () => ({ payload: (b) => Buffer.from(b.toString().replace('{', '{"extra":1,')) }) },
  ],
  [
    'a byte order mark before the payload',
    'malformed',
    { bend: () => ({ payload: (b) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), b]) }) },
  ],
  [
    'a window that ends before it begins',
    'malformed',
    { bend: () => ({ release: { notBefore: inPast(1000), notAfter: inPast(2000) } }) },
  ],
  [
    'two orders for one step',
    'malformed',
    { bend: () => ({ target: { orders: [...sampleOrders, sampleOrders[2]!] } }) },
  ],
  ['another policy epoch', 'wrong_epoch', { bend: () => ({ release: { policyEpoch: 2 } }) }],
  [
    'another tenant',
    'wrong_tenant',
    { bend: () => ({ release: { tenant: randomUUID() }, leaf: { tenant: world.tenantId } }) },
  ],
  [
    'a signer outside the policy',
    'signer_unknown',
    { bend: () => ({ signers: [key(0), createEd25519Key()] }) },
  ],
  [
    'a signer without the class',
    'signer_not_entitled',
    {
      view: () =>
        viewOf({
          policy: {
            ...world.policy,
            approvers: world.policy.approvers.map((one, n) => (n === 1 ? { ...one, classes: ['R1'] } : one)),
          },
        }),
    },
  ],
  ['the requester among the signers', 'signer_is_requester', { bend: () => ({ signers: [key(0), key(3)] }) }],
  ['one person only', 'threshold_not_met', { bend: () => ({ signers: [key(0)] }) }],
  ['one person signing twice', 'threshold_not_met', { bend: () => ({ signers: [key(0), key(0)] }) }],
  [
    'one person with two keys',
    'threshold_not_met',
    {
      view: () =>
        viewOf({
          policy: {
            ...world.policy,
            approvers: world.policy.approvers.map((one, n) =>
              n === 1 ? { ...one, personId: world.people[0]!.personId } : one,
            ),
          },
        }),
    },
  ],
  [
    'an assertion made for another site',
    'bad_signature',
    withBentPasskey({ origin: 'https://evil.example.test' }),
  ],
  ['an assertion of another relying party', 'bad_signature', withBentPasskey({ rpId: 'example.test' })],
  ['an assertion without user verification', 'bad_signature', withBentPasskey({ userVerified: false })],
  ['an assertion without user presence', 'bad_signature', withBentPasskey({ userPresent: false })],
  [
    'an assertion that registers instead of signs',
    'bad_signature',
    withBentPasskey({ type: 'webauthn.create' }),
  ],
  ['an assertion made inside a foreign page', 'bad_signature', withBentPasskey({ crossOrigin: true })],
  ['an assertion over another challenge', 'bad_signature', withBentPasskey({ challenge: Buffer.alloc(32) })],
  [
    'a target outside the signed tree',
    'not_a_target',
    { released: (r) => ({ ...r, bundle: { ...r.bundle, targetIndex: 2 } }) },
  ],
  ['a target of another host', 'not_a_target', { bend: () => ({ target: { host: randomUUID() } }) }],
  ['a target of another agent', 'not_a_target', { bend: () => ({ target: { agent: randomUUID() } }) }],
  ['a target of another release', 'not_a_target', { bend: () => ({ target: { release: randomUUID() } }) }],
  [
    'a verb outside the catalogue',
    'verb_unknown',
    { bend: () => ({ target: { orders: replaceOrder({ step: 'restart', verb: 'shell.run', args: {} }) } }) },
  ],
  [
    'a verb named like a member of every object',
    'verb_unknown',
    {
      bend: () => ({ target: { orders: replaceOrder({ step: 'restart', verb: 'constructor', args: {} }) } }),
    },
  ],
  [
    'a policy about another verb catalogue',
    'verb_unknown',
    { view: () => viewOf({ policy: { ...world.policy, verbCatalogueSha256: 'c'.repeat(64) } }) },
  ],
  [
    'arguments outside the schema',
    'args_invalid',
    {
      bend: () => ({
        target: {
          orders: replaceOrder({ step: 'restart', verb: 'host.restart', args: { onlyIfRequired: 'yes' } }),
        },
      }),
    },
  ],
  ['a verb above the class of the release', 'class_mismatch', { bend: () => ({ release: { class: 'R1' } }) }],
  ['a step that nobody signed', 'order_not_released', { step: 'download' }],
  ['a signed step with another verb', 'order_not_released', { command: { verb: 'guard.commit' } }],
  ['a command of another run', 'order_not_released', { command: { runId: randomUUID() } }],
  ['a command of another release', 'order_not_released', { command: { releaseId: randomUUID() } }],
  ['a command without a host run', 'order_not_released', { command: { hostRunId: null } }],
];

describe('a released command', () => {
  it('is accepted when every check holds', () => {
    expect(codeOf({})).toBe('accepted');
  });

  it('is accepted with a card key beside a passkey', () => {
    expect(codeOf({ bend: () => ({ signers: [key(0), key(2)] }) })).toBe('accepted');
  });

  it.each(refusals)('is refused for %s', (_why, code, test) => {
    expect(codeOf(test)).toBe(code);
  });
});

describe('a command without a release', () => {
  const read = (verb: Command['verb'], view = viewOf()) =>
    verifyReadCommand(
      { commandId: randomUUID(), verb, releaseId: null, runId: null, hostRunId: null, step: null, fence: 0 },
      view,
    );

  it('may read', () => {
    expect(read('inventory.scan')).toBeNull();
    expect(read('agent.noop')).toBeNull();
  });

  it('may change nothing', () => {
    expect(read('host.restart')?.code).toBe('order_not_released');
    expect(read('guard.rollback')?.code).toBe('order_not_released');
  });

  it('is refused when the journal knows it', () => {
    expect(read('agent.noop', viewOf({ isKnownCommand: () => true }))?.code).toBe('replayed');
  });

  it('is refused when its verb is unknown', () => {
    expect(read('shell.run' as Command['verb'])?.code).toBe('verb_unknown');
  });
});
