import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Command } from '#contract/agent-link.ts';
import type { ResultCode } from '#contract/results.ts';
import type { Order } from '#contract/trust.ts';
import { commandFor, createWorld, releaseFor, sampleOrders } from '../../../test/harness/release-world.ts';
import type { ReleaseBend, Released, World } from '../../../test/harness/release-world.ts';
import { createEd25519Key, createWebAuthnKey } from '../../../test/harness/software-key.ts';
import type { AssertionOptions } from '../../../test/harness/software-key.ts';
import type { AgentView, StepRecord } from './agentView.ts';
import { verifyReadCommand, verifyReleasedCommand } from './command.verify.ts';

let world: World;
const hostRunId = randomUUID();
const guarded: StepRecord[] = [
  { step: 'preflight', state: 'succeeded' },
  { step: 'guard', state: 'succeeded' },
];
const installed: StepRecord[] = [...guarded, { step: 'install', state: 'succeeded' }];

beforeAll(() => {
  world = createWorld();
});

function viewOf(bend: Partial<AgentView> & { past?: readonly StepRecord[] } = {}): AgentView {
  const nowMs = Date.now();
  return {
    self: { tenantId: world.tenantId, hostId: world.hostId, agentId: world.agentId },
    policy: world.policy,
    nowMs,
    timeFloorMs: nowMs - 1000,
    isKnownCommand: () => false,
    highestFence: () => 0,
    history: () => bend.past ?? guarded,
    restartsLast24h: 0,
    lock: { seenAtMs: nowMs - 1000, tenantLocked: false, lockedRunIds: [] },
    checkpoints: [],
    ...bend,
  };
}

interface Case {
  readonly step?: Order['step'];
  readonly bend?: () => ReleaseBend;
  readonly view?: () => AgentView;
  readonly command?: Partial<Command>;
  readonly released?: (released: Released) => Released;
}

function codeOf(test: Case): ResultCode | 'accepted' {
  const plain = releaseFor(world, test.bend?.() ?? {});
  const released = test.released?.(plain) ?? plain;
  const command = { ...commandFor(released, test.step ?? 'install', hostRunId), ...test.command };
  const verdict = verifyReleasedCommand(command, released.bundle, test.view?.() ?? viewOf());
  return 'code' in verdict ? verdict.code : 'accepted';
}

const key = (n: number) => world.people[n]?.key ?? createEd25519Key();

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

const inPast = (ms: number) => new Date(Date.now() - ms).toISOString();
const inFuture = (ms: number) => new Date(Date.now() + ms).toISOString();
const replaceOrder = (order: Order) => sampleOrders.map((one) => (one.step === order.step ? order : one));

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
  [
    'a clock that lags behind what is proved',
    'clock_behind',
    { view: () => viewOf({ timeFloorMs: Date.now() + 301_000 }) },
  ],
  [
    'a window that is not open yet',
    'before_window',
    { bend: () => ({ release: { notBefore: inFuture(60_000) } }) },
  ],
  [
    'a window that is over',
    'after_window',
    { bend: () => ({ release: { notBefore: inPast(7200_000), notAfter: inPast(1000) } }) },
  ],
  [
    'a window that is over by the proved time',
    'after_window',
    {
      bend: () => ({ release: { notAfter: inFuture(60_000) } }),
      view: () => viewOf({ timeFloorMs: Date.now() + 120_000 }),
    },
  ],
  ['a command that the journal knows', 'replayed', { view: () => viewOf({ isKnownCommand: () => true }) }],
  ['a fence of a former owner', 'fence_too_low', { view: () => viewOf({ highestFence: () => 2 }) }],
  [
    'an installation without a guard in the journal',
    'guard_missing',
    { view: () => viewOf({ past: guarded.slice(0, 1) }) },
  ],
  [
    'an installation without any guard ordered',
    'guard_missing',
    { bend: () => ({ target: { orders: sampleOrders.filter((one) => one.step !== 'guard') } }) },
  ],
  [
    'a snapshot after the installation',
    'step_out_of_order',
    { step: 'guard', view: () => viewOf({ past: installed }) },
  ],
  [
    'a commit before a green verdict',
    'step_out_of_order',
    { step: 'commit', view: () => viewOf({ past: installed }) },
  ],
  [
    'a commit of a verdict older than the change',
    'step_out_of_order',
    {
      step: 'commit',
      view: () =>
        viewOf({
          past: [
            ...installed,
            { step: 'verify', state: 'succeeded' },
            { step: 'restart', state: 'succeeded' },
          ],
        }),
    },
  ],
  [
    'a commit after a red verdict',
    'step_out_of_order',
    { step: 'commit', view: () => viewOf({ past: [...installed, { step: 'verify', state: 'failed' }] }) },
  ],
  [
    'an installation after a rollback',
    'step_out_of_order',
    { view: () => viewOf({ past: [...installed, { step: 'rollback', state: 'succeeded' }] }) },
  ],
  [
    'a rollback after a commit',
    'step_out_of_order',
    {
      step: 'rollback',
      view: () =>
        viewOf({
          past: [
            ...installed,
            { step: 'verify', state: 'succeeded' },
            { step: 'commit', state: 'succeeded' },
          ],
        }),
    },
  ],
  [
    'a rollback without a snapshot',
    'guard_missing',
    { step: 'rollback', view: () => viewOf({ past: [{ step: 'preflight', state: 'succeeded' }] }) },
  ],
  [
    'more targets than the cap',
    'cap_exceeded',
    {
      view: () =>
        viewOf({ policy: { ...world.policy, caps: { ...world.policy.caps, targetsPerRelease: 4 } } }),
    },
  ],
  [
    'more restarts than the cap',
    'cap_exceeded',
    { step: 'restart', view: () => viewOf({ past: installed, restartsLast24h: 3 }) },
  ],
  [
    'a locked tenant',
    'locked',
    { view: () => viewOf({ lock: { seenAtMs: Date.now(), tenantLocked: true, lockedRunIds: [] } }) },
  ],
  [
    'a lock view that was never fresh',
    'lock_view_stale',
    { view: () => viewOf({ lock: { seenAtMs: null, tenantLocked: false, lockedRunIds: [] } }) },
  ],
  [
    'a lock view that is too old',
    'lock_view_stale',
    {
      view: () => viewOf({ lock: { seenAtMs: Date.now() - 301_000, tenantLocked: false, lockedRunIds: [] } }),
    },
  ],
  [
    'an approval of another release in the log',
    'log_proof_missing',
    { bend: () => ({ leaf: { subjectId: randomUUID() } }) },
  ],
  [
    'an approval of other bytes in the log',
    'log_proof_missing',
    { bend: () => ({ leaf: { digest: 'd'.repeat(64) } }) },
  ],
  [
    'a draft instead of an approval in the log',
    'log_proof_missing',
    { bend: () => ({ leaf: { action: 'release.drafted' } }) },
  ],
  ['a refused approval in the log', 'log_proof_missing', { bend: () => ({ leaf: { outcome: 'refused' } }) }],
  [
    'an approval in the log of another tenant',
    'log_proof_missing',
    { bend: () => ({ leaf: { tenant: randomUUID() } }) },
  ],
  ['a checkpoint by another key', 'log_proof_missing', { bend: () => ({ logKey: createEd25519Key() }) }],
  [
    'an approval that is not in the signed log',
    'log_proof_missing',
    { released: (r) => ({ ...r, bundle: { ...r.bundle, audit: { ...r.bundle.audit, leafIndex: 1 } } }) },
  ],
  [
    'a release that names another log',
    'log_proof_missing',
    { bend: () => ({ release: { logOrigin: 'another/log' } }) },
  ],
  [
    'a log shorter than it was',
    'log_went_back',
    { view: () => viewOf({ checkpoints: [{ size: 9, root: 'e'.repeat(64) }] }) },
  ],
  [
    'a forked log of the same size',
    'log_went_back',
    { view: () => viewOf({ checkpoints: [{ size: 5, root: 'e'.repeat(64) }] }) },
  ],
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

  it('is refused in a locked run, and not in another run', () => {
    const released = releaseFor(world);
    const locked = (runId: string) =>
      viewOf({ lock: { seenAtMs: Date.now(), tenantLocked: false, lockedRunIds: [runId] } });
    const command = commandFor(released, 'install', hostRunId);
    expect(verifyReleasedCommand(command, released.bundle, locked(released.release.runId))).toMatchObject({
      code: 'locked',
    });
    expect(verifyReleasedCommand(command, released.bundle, locked(randomUUID()))).not.toHaveProperty('code');
  });

  it('may close after the window what was begun inside it', () => {
    const bend = () => ({ release: { notBefore: inPast(7200_000), notAfter: inPast(1000) } });
    const green: StepRecord[] = [...installed, { step: 'verify', state: 'succeeded' }];
    expect(codeOf({ bend, step: 'verify', view: () => viewOf({ past: installed }) })).toBe('accepted');
    expect(codeOf({ bend, step: 'commit', view: () => viewOf({ past: green }) })).toBe('accepted');
    expect(codeOf({ bend, step: 'rollback', view: () => viewOf({ past: installed }) })).toBe('accepted');
    expect(codeOf({ bend, step: 'restart', view: () => viewOf({ past: installed }) })).toBe('after_window');
    expect(codeOf({ bend, step: 'verify', view: () => viewOf({ past: guarded }) })).not.toBe('accepted');
  });

  it('may show again a checkpoint that was seen before a newer one', () => {
    const released = releaseFor(world);
    const [, size, root] = released.bundle.audit.checkpoint.split('\n');
    const seen = { size: Number(size), root: Buffer.from(root ?? '', 'base64').toString('hex') };
    const view = viewOf({ checkpoints: [seen, { size: 99, root: 'f'.repeat(64) }] });
    expect(
      verifyReleasedCommand(commandFor(released, 'install', hostRunId), released.bundle, view),
    ).not.toHaveProperty('code');
  });

  it('may be signed without a snapshot when people ordered the tier none', () => {
    const guard: Order = {
      step: 'guard',
      verb: 'guard.create',
      args: { tier: 'none', minFreeBytes: 0, confirmWithinS: 60, silentS: 60 },
    };
    expect(codeOf({ bend: () => ({ target: { orders: replaceOrder(guard) } }) })).toBe('accepted');
    expect(codeOf({ step: 'rollback', bend: () => ({ target: { orders: replaceOrder(guard) } }) })).toBe(
      'guard_missing',
    );
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
