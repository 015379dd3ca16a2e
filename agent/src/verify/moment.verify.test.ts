import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ResultCode } from '#contract/results.ts';
import type { Order } from '#contract/trust.ts';
import {
  codeOf,
  guarded,
  hostRunId,
  inFuture,
  inPast,
  installed,
  replaceOrder,
  viewOf,
  world,
} from '../../../test/harness/agent-judgement.ts';
import type { Case } from '../../../test/harness/agent-judgement.ts';
import { commandFor, releaseFor, sampleOrders } from '../../../test/harness/release-world.ts';
import { createEd25519Key } from '../../../test/harness/software-key.ts';
import type { StepRecord } from './agentView.ts';
import { verifyReleasedCommand } from './command.verify.ts';

/** One line a check of the moment: the release itself is good. */
const refusals: [string, ResultCode, Case][] = [
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

/** Orders of a host whose work is taken away before the change. */
const drainOrders: Order[] = [
  { step: 'drain', verb: 'host.drain', args: { units: [], returnWithinS: 600 } },
  { step: 'undrain', verb: 'host.undrain', args: {} },
];

describe('a released command of a host that is drained', () => {
  const ready: StepRecord[] = [...guarded, { step: 'download', state: 'succeeded' }];
  const away: StepRecord[] = [...ready, { step: 'drain', state: 'succeeded' }];
  const back: StepRecord[] = [...away, { step: 'undrain', state: 'succeeded' }];
  const verdict = (step: Order['step'], past: readonly StepRecord[], bend = {}) =>
    codeOf({
      step,
      bend: () => ({ target: { orders: [...sampleOrders, ...drainOrders] }, ...bend }),
      view: () => viewOf({ past }),
    });

  it('takes the work away before the change and never after it', () => {
    expect(verdict('drain', ready)).toBe('accepted');
    expect(verdict('drain', guarded.slice(0, 1))).toBe('step_out_of_order');
    expect(verdict('drain', [...away, { step: 'install', state: 'failed' }])).toBe('step_out_of_order');
  });

  it('changes nothing while the work is there, or there again', () => {
    expect(verdict('install', ready)).toBe('step_out_of_order');
    expect(verdict('install', [...ready, { step: 'drain', state: 'failed' }])).toBe('step_out_of_order');
    expect(verdict('install', away)).toBe('accepted');
    expect(verdict('install', back)).toBe('step_out_of_order');
  });

  it('keeps no state in which the work is away', () => {
    const changed = (past: readonly StepRecord[]): StepRecord[] => [
      ...away,
      { step: 'install', state: 'succeeded' },
      ...past,
      { step: 'verify', state: 'succeeded' },
    ];
    expect(verdict('commit', changed([]))).toBe('step_out_of_order');
    expect(verdict('commit', changed([{ step: 'undrain', state: 'succeeded' }]))).toBe('accepted');
  });

  it('brings the work back at any hour and after any end, once something was taken away', () => {
    const over = { release: { notBefore: inPast(7200_000), notAfter: inPast(1000) } };
    expect(verdict('undrain', away, over)).toBe('accepted');
    expect(verdict('undrain', ready, over)).toBe('after_window');
    expect(verdict('undrain', ready)).toBe('step_out_of_order');
    expect(verdict('undrain', [...away, { step: 'rollback', state: 'succeeded' }])).toBe('accepted');
    expect(verdict('drain', ready, over)).toBe('after_window');
  });
});

describe('a released command, at this moment,', () => {
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
