import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { payloadTypes } from '#contract/dsse.ts';
import type { LockState } from '#contract/releases.ts';
import type { ReleaseDocument } from '#contract/trust.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { newRootKey, signRoots } from '../harness/hosts-world.ts';
import { treeRoot } from '../harness/merkle-tree.ts';
import { createWebAuthnKey } from '../harness/software-key.ts';
import { patience, ThiefWorld } from '../harness/thief-world.ts';
import type { StolenRelease } from '../harness/thief.ts';

const preflight = { step: 'preflight', verb: 'host.preflight' } as const;
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

describe('a thief in the place of the server', () => {
  let honest: StolenRelease;
  let foreign: StolenRelease;
  let expired: StolenRelease;
  const own = [0, 1].map(() => createWebAuthnKey({ rpId: 'localhost', origin: 'http://localhost:49999' }));
  const signedByThief = (payload: Buffer) => own.map((key) => key.sign(payloadTypes.command, payload));

  beforeAll(async () => {
    // The engine rests: what is released now is in the thief's hands only.
    await desk.server.features.stop();
    const stealApproved = async (hostIds: readonly string[], lifeMs?: number) => {
      const made = await world.release(hostIds, ['alice', 'bernard'], lifeMs);
      await desk.query('delete from host_claims');
      return thief.steal(made.release.id);
    };
    await desk.query(`update agents set connected_at = now(), last_seen_at = now() + interval '1 hour'`);
    expired = await stealApproved([agent.hostId], 3_000);
    foreign = await stealApproved([await desk.host('other')]);
    honest = await stealApproved([agent.hostId]);
    for (const { entryId } of [expired, foreign, honest])
      await desk.server.platform.sealer.sealed(desk.tenantId, entryId ?? '', { timeoutMs: 10_000 });
    await thief.listen();
    await thief.waitFor('hello');
  }, 120_000);

  /** A release of his own making, whole in itself: its tree, its approval, its place in a log that he seals. */
  async function forged(bend: Partial<ReleaseDocument> = {}) {
    const id = newId();
    const target = jcs(thief.wish(agent, id));
    const payload = jcs({
      ...honest.document,
      ...{ id, runId: newId(), targetsRoot: treeRoot([target]).toString('hex'), targetsCount: 1 },
      ...bend,
    });
    const log = await thief.log();
    const leaf = jcs({
      ...(JSON.parse(log.at(-1)?.toString() ?? '{}') as object),
      ...{ id: newId(), action: 'release.approved', subjectType: 'release', subjectId: id, outcome: 'ok' },
      digest: createHash('sha256').update(payload).digest('hex'),
    });
    return { payload, targets: [target], log: [...log, leaf], leaf };
  }

  const refusals: readonly [string, string, () => Promise<string>][] = [
    [
      'signs a release with keys of his own',
      'signer_unknown',
      async () => {
        const made = await forged();
        const bundle = await thief.bundle({ ...made, signatures: signedByThief(made.payload) }, made);
        return (await thief.order(bundle, preflight)).code;
      },
    ],
    [
      'calls his keys by the names of the approvers’ keys',
      'bad_signature',
      async () => {
        const made = await forged();
        const names = ['alice', 'bernard'].map((name) => desk.passkey(name).keyId);
        const signatures = signedByThief(made.payload).map((one, n) => ({ ...one, keyid: names[n] ?? '' }));
        return (await thief.order(await thief.bundle({ ...made, signatures }, made), preflight)).code;
      },
    ],
    [
      'hangs honest signatures on a release of his own',
      'bad_signature',
      async () => {
        const made = await forged();
        const bundle = await thief.bundle({ ...made, signatures: honest.signatures }, made);
        return (await thief.order(bundle, preflight)).code;
      },
    ],
    [
      'makes the window of an honest release longer',
      'bad_signature',
      async () => {
        const payload = jcs({ ...honest.document, notAfter: '2099-01-01T00:00:00.000Z' });
        return (await thief.order(await thief.bundle({ ...honest, payload }), preflight)).code;
      },
    ],
    [
      'leaves one of the two signatures out',
      'threshold_not_met',
      async () => {
        const bundle = await thief.bundle({ ...honest, signatures: honest.signatures.slice(0, 1) });
        return (await thief.order(bundle, preflight)).code;
      },
    ],
    [
      'shows one person’s signature twice',
      'threshold_not_met',
      async () => {
        const [first] = honest.signatures;
        const signatures = first === undefined ? [] : [first, first];
        return (await thief.order(await thief.bundle({ ...honest, signatures }), preflight)).code;
      },
    ],
    [
      'puts other orders for this host into an honest release',
      'not_a_target',
      async () => {
        const target = jcs(thief.wish(agent, honest.document.id));
        return (await thief.order(await thief.bundle(honest, { target }), preflight)).code;
      },
    ],
    [
      'hands this host what was released for another',
      'not_a_target',
      async () => (await thief.order(await thief.bundle(foreign), preflight)).code,
    ],
    [
      'brings an old release back after its window',
      'after_window',
      async () => {
        await vi.waitFor(
          () => expect(Date.now()).toBeGreaterThan(Date.parse(expired.document.notAfter)),
          patience,
        );
        return (await thief.order(await thief.bundle(expired), preflight)).code;
      },
    ],
    [
      'asks for a verb that the release does not order at this step',
      'order_not_released',
      async () => {
        const order = { step: 'preflight', verb: 'host.restart' } as const;
        return (await thief.order(await thief.bundle(honest), order)).code;
      },
    ],
    [
      'asks for a restart under a run that nobody released',
      'order_not_released',
      async () => (await thief.order(await thief.bundle(honest), preflight, { runId: newId() })).code,
    ],
    [
      'begins with the installation, before the guard',
      'guard_missing',
      async () => {
        const order = { step: 'install', verb: 'updates.install' } as const;
        return (await thief.order(await thief.bundle(honest), order)).code;
      },
    ],
    [
      'commits what nobody verified',
      'step_out_of_order',
      async () => {
        const order = { step: 'commit', verb: 'guard.commit' } as const;
        return (await thief.order(await thief.bundle(honest), order)).code;
      },
    ],
    [
      'shows a policy document as if it were a release',
      'wrong_payload_type',
      async () => {
        const bundle = await thief.bundle(honest, { payloadType: payloadTypes.policy });
        return (await thief.order(bundle, preflight)).code;
      },
    ],
    [
      'shows another entry of the log in place of the approval',
      'log_proof_missing',
      async () => {
        const log = await thief.log();
        const [leaf] = log;
        if (leaf === undefined) throw new Error('the log is empty');
        return (await thief.order(await thief.bundle(honest, { log, leaf }), preflight)).code;
      },
    ],
    [
      'names another policy document in a release',
      'wrong_epoch',
      async () => {
        const made = await forged({ policyEpoch: 7 });
        const bundle = await thief.bundle({ ...made, signatures: signedByThief(made.payload) }, made);
        return (await thief.order(bundle, preflight)).code;
      },
    ],
    [
      'writes the release of another tenant',
      'wrong_tenant',
      async () => {
        const made = await forged({ tenant: newId() });
        const bundle = await thief.bundle({ ...made, signatures: signedByThief(made.payload) }, made);
        return (await thief.order(bundle, preflight)).code;
      },
    ],
  ];

  it.each(refusals)('%s: %s', async (_what, code, attack) => {
    expect(await attack()).toBe(code);
    expect(agent.effects).toEqual([]);
  });

  it('truncates the log and signs the short one: the agent has seen a longer one', async () => {
    const log = await thief.log();
    // The agent has the whole log for true first, as a witness does.
    await seenByAgent(log);
    const approval = log.findIndex(
      (leaf) => leaf.toString().includes('release.approved') && leaf.toString().includes(honest.document.id),
    );
    const short = log.slice(0, approval + 1);
    expect(short.length).toBeLessThan(log.length);
    const result = await thief.order(await thief.bundle(honest, { log: short }), preflight);
    expect(result.code).toBe('log_went_back');
    const alarm = await thief.alarmAfter(() => thief.showLog(short, short.length));
    expect(alarm.code).toBe('log_refused');
  });

  it('forks the log at the size that the agent has seen, and beyond it', async () => {
    const log = await thief.log();
    const fork = [...log];
    fork[1] = jcs({ ...(JSON.parse(fork[1]?.toString() ?? '{}') as object), details: { forged: true } });
    const result = await thief.order(await thief.bundle(honest, { log: fork }), preflight);
    expect(result.code).toBe('log_went_back');
    const longer = [...fork, fork[0] ?? Buffer.alloc(0)];
    const alarm = await thief.alarmAfter(() => thief.showLog(longer, log.length));
    expect(alarm).toMatchObject({ code: 'log_refused' });
    expect(alarm.detail).toContain('no proof');
  });

  it('publishes a policy document with his keys, and one that jumps an epoch: nobody signed them', async () => {
    const [row] = await desk.query<{ payload: Buffer; epoch: number }>(
      'select payload, epoch from policy_documents order by epoch desc',
    );
    const current = JSON.parse(row?.payload.toString() ?? '{}') as { epoch: number; approvers: object[] };
    const root = newRootKey();
    const mine = {
      ...current,
      rootKeys: [{ keyId: root.keyId, publicKey: root.publicKey }],
      approvers: current.approvers.map((key, n) => ({ ...key, publicKey: own[n % 2]?.publicKey })),
      thresholds: { R1: 0, R2: 2, R3: 2 },
    };
    for (const [epoch, why] of [
      [current.epoch + 1, 'threshold_not_met'],
      [current.epoch + 2, 'wrong_epoch'],
      [current.epoch, 'wrong_epoch'],
      [1, 'wrong_epoch'],
    ] as const) {
      const payload = jcs({ ...mine, epoch }).toString('base64url');
      const envelope = signRoots({ payloadType: payloadTypes.policy, payload }, [root]);
      const alarm = await thief.alarmAfter(() => thief.send({ type: 'policy', envelopes: [envelope] }));
      expect([alarm.code, alarm.detail.split(':')[0]]).toEqual(['policy_refused', why]);
    }
    const made = await forged();
    const bundle = await thief.bundle({ ...made, signatures: signedByThief(made.payload) }, made);
    expect((await thief.order(bundle, preflight)).code).toBe('signer_unknown');
  });

  it('cannot end the emergency stop that one approver made, nor hide it behind an older word', async () => {
    const draft = await desk.must<{ payload: string; payloadType: string }>('claire', 'draftLock', {
      body: { state: 'locked', runId: null, reason: 'vol' },
    });
    const signature = desk.passkey('claire').sign(draft.payloadType, Buffer.from(draft.payload, 'base64url'));
    const stop = { payloadType: draft.payloadType, payload: draft.payload, signatures: [signature] };
    await desk.must<LockState>('claire', 'closeLock', { body: { envelope: stop } });
    const at = new Date().toISOString();
    thief.send({ type: 'lock', at, envelope: stop });
    const stopped = await thief.order(await thief.bundle(honest), preflight);
    expect(stopped.code).toBe('locked');

    const lock = JSON.parse(Buffer.from(draft.payload, 'base64url').toString()) as { serial: number };
    const bytes = jcs({ ...lock, serial: lock.serial + 1, state: 'open' });
    const open = (signatures: readonly unknown[]) => ({
      payloadType: payloadTypes.lock,
      payload: bytes.toString('base64url'),
      signatures: signatures as (typeof signature)[],
    });
    for (const [envelope, why] of [
      [open(own.map((key) => key.sign(payloadTypes.lock, bytes))), 'signer_unknown'],
      [open([signature]), 'bad_signature'],
      [open([desk.passkey('claire').sign(payloadTypes.lock, bytes)]), 'threshold_not_met'],
    ] as const) {
      const alarm = await thief.alarmAfter(() => thief.send({ type: 'lock', at, envelope }));
      expect([alarm.code, alarm.detail.split(':')[0]]).toEqual(['lock_refused', why]);
    }
    // Saying nothing of the stop does not end it either.
    thief.send({ type: 'lock', at, envelope: null });
    expect((await thief.order(await thief.bundle(honest), preflight)).code).toBe('locked');

    const both = ['alice', 'bernard'].map((name) => desk.passkey(name).sign(payloadTypes.lock, bytes));
    thief.send({ type: 'lock', at, envelope: open(both) });
    const alarm = await thief.alarmAfter(() => thief.send({ type: 'lock', at, envelope: stop }));
    expect(alarm.code).toBe('lock_went_back');
  });

  it('sends a command again with other content, and a lower fence: both are known', async () => {
    const bundle = await thief.bundle(honest);
    const hostRunId = newId();
    const first = await thief.order(bundle, preflight, { hostRunId, fence: 5 });
    // The control: two honest people released this, and even a thief may deliver it.
    expect([first.outcome, first.code]).toEqual(['succeeded', 'ok']);
    expect(agent.effects).toEqual(['host.preflight']);
    const sent = thief.sent.at(-1);
    if (sent === undefined) throw new Error('nothing was sent');
    const alarm = await thief.alarmAfter(() =>
      thief.send({ type: 'commands', commands: [{ ...sent, fence: 9 }] }),
    );
    expect(alarm.code).toBe('replayed');
    const late = await thief.order(bundle, { step: 'guard', verb: 'guard.create' }, { hostRunId, fence: 4 });
    expect(late.code).toBe('fence_too_low');
    expect(agent.effects).toEqual(['host.preflight']);
  });

  it('leaves his attempts in the agent’s own journal, with the reason, and none of them was begun', async () => {
    await agent.stop();
    const lines = await agent.journalOf(thief.sent.map(({ commandId }) => commandId));
    const begun = lines.filter((line) => line?.started === true);
    expect(begun).toEqual([{ started: true, code: 'ok' }]);
    expect(lines.length).toBeGreaterThan(20);
    expect(lines.every((line) => line !== null && line.code !== null)).toBe(true);
  });

  /** Shows the log as it is; resolves when the agent vouches for it. */
  async function seenByAgent(log: readonly Buffer[]): Promise<void> {
    const [hello] = thief.frames.filter((frame) => frame.type === 'hello').slice(-1);
    await thief.showLog(log, hello?.type === 'hello' ? hello.treeSize : 0);
    await thief.waitFor('heartbeat', ({ cosignature }) => cosignature?.treeSize === log.length);
  }
});
