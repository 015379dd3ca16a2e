import { createHash } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { payloadTypes } from '#contract/dsse.ts';
import type { MaintenancePolicy, PlanDetail } from '#contract/plans.ts';
import type { ReleaseDetail } from '#contract/releases.ts';
import type { ReleaseDocument } from '#contract/trust.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { treeRoot } from '../harness/merkle-tree.ts';
import { monthly, ReleaseDesk } from '../harness/release-desk.ts';

let desk: ReleaseDesk;
let policyId: string;
let hosts = 0;

beforeAll(async () => {
  desk = await ReleaseDesk.open({
    chief: ['tenant_admin'],
    olga: ['operator', 'approver'],
    oscar: ['operator'],
    alice: ['approver'],
    bernard: ['approver'],
    claire: ['approver'],
    david: ['approver'],
    nouveau: ['approver'],
  });
  for (const name of ['olga', 'alice', 'bernard', 'claire', 'david']) await desk.enrolKey(name);
  await desk.publish('chief');
  ({ id: policyId } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
    body: monthly,
  }));
}, 120_000);

afterAll(() => desk.close());

async function plan(lifeMs = 3_600_000): Promise<PlanDetail['plan']> {
  hosts += 1;
  const hostId = await desk.host(`host-${hosts}`);
  const notAfter = new Date(Date.now() + lifeMs).toISOString();
  return (await desk.plan('olga', desk.request(policyId, [hostId], { notAfter }))).plan;
}

async function drafted(lifeMs?: number): Promise<ReleaseDetail> {
  const { status, body } = await desk.draft('olga', (await plan(lifeMs)).id);
  expect(status).toBe(201);
  return body;
}

const read = (releaseId: string, who = 'alice') =>
  desk.must<ReleaseDetail>(who, 'getRelease', { params: { releaseId } });

const planOf = async (planId: string) =>
  (await desk.must<PlanDetail>('olga', 'getPlan', { params: { planId } })).plan;

/** Audited actions about a release, oldest first. */
async function audited(releaseId: string): Promise<string[]> {
  const rows = await desk.query<{ action: string }>(
    'select action from audit_entries where subject_id = $1 order by at, entry_id',
    [releaseId],
  );
  return rows.map(({ action }) => action);
}

/** The refusal in short, and that it left nothing behind. */
async function refusal(
  answer: Awaited<ReturnType<ReleaseDesk['sign']>>,
  release: ReleaseDetail,
): Promise<(string | number | undefined)[]> {
  const { signatures } = (await read(release.release.id)).release;
  return [answer.status, answer.body.code, answer.body.detail, signatures.length];
}

describe('a request for release', () => {
  it('shows the very bytes to sign, which name the plan, its targets and the window', async () => {
    const { release, payload, payloadSha256, targets, payloadType } = await drafted();
    const bytes = Buffer.from(payload, 'base64url');
    expect(payloadType).toBe(payloadTypes.command);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(payloadSha256);
    const document = JSON.parse(bytes.toString()) as ReleaseDocument;
    const of = await planOf(release.planId);
    expect(document).toMatchObject({
      ...{ id: release.id, tenant: desk.tenantId, class: 'R2', planId: of.id, planSha256: of.sha256 },
      ...{ requester: desk.id('olga'), notBefore: of.notBefore, notAfter: of.notAfter, targetsCount: 1 },
      targetsRoot: treeRoot(targets.map((target) => Buffer.from(target, 'base64url'))).toString('hex'),
    });
    expect(of).toMatchObject({ state: 'release_drafted', releaseId: release.id, runId: null });
    expect(await audited(release.id)).toEqual(['release.drafted']);
  });

  it('is made once for a plan, and again after a refusal', async () => {
    const first = await drafted();
    const twice = await desk.draft('olga', first.release.planId);
    expect([twice.status, twice.body.code]).toEqual([409, 'transition_refused']);
    const params = { releaseId: first.release.id };
    const refused = await desk.must<ReleaseDetail>('alice', 'refuseRelease', {
      params,
      body: { reason: 'Pas pendant la clôture' },
    });
    expect(refused.release.state).toBe('refused');
    expect(refused.refusal).toMatchObject({ personName: 'Person alice', reason: 'Pas pendant la clôture' });
    const again = await desk.sign('bernard', first);
    expect(await refusal(again, first)).toEqual([409, 'transition_refused', 'closed', 0]);
    const second = await desk.draft('olga', first.release.planId);
    expect(second.status).toBe(201);
    expect(await audited(first.release.id)).toEqual(['release.drafted', 'release.refused']);
  });

  it('is asked for by those who may plan, signed by those who may sign', async () => {
    const { id } = await plan();
    const byAlice = await desk.draft('alice', id);
    expect([byAlice.status, byAlice.body.code]).toEqual([403, 'forbidden']);
    const made = await drafted();
    const byOscar = await desk.sign('oscar', made, desk.signature('alice', made));
    expect([byOscar.status, byOscar.body.code]).toEqual([403, 'forbidden']);
    expect(made.release.mySignature).toBe('requester');
    expect((await read(made.release.id, 'oscar')).release.mySignature).toBe('not_entitled');
    expect((await read(made.release.id, 'nouveau')).release.mySignature).toBe('no_key');
    expect((await read(made.release.id, 'alice')).release.mySignature).toBe('possible');
  });

  it('of more hosts than the policy document allows in one is refused', async () => {
    const pair = [await desk.host('pair-1'), await desk.host('pair-2')];
    const { plan: two } = await desk.plan('olga', desk.request(policyId, pair));
    const setCap = (cap: number) =>
      desk.query(
        `update policy_documents set payload = convert_to(
           regexp_replace(convert_from(payload, 'utf8'), '"targetsPerRelease":\\d+', '"targetsPerRelease":' || $1), 'utf8')`,
        [cap],
      );
    await setCap(1);
    const { status, body } = await desk.draft('olga', two.id);
    await setCap(1000);
    expect([status, body.code]).toEqual([422, 'policy_refused']);
    expect(body.detail).toContain('1 hosts');
    expect((await desk.draft('olga', two.id)).status).toBe(201);
  });
});

describe('two different people', () => {
  it('release a plan: the state, the run and the log say so', async () => {
    const made = await drafted();
    const first = await desk.sign('alice', made);
    expect([first.status, first.body.release.state]).toEqual([201, 'awaiting_signatures']);
    expect((await planOf(made.release.planId)).runId).toBeNull();
    const second = await desk.sign('bernard', made);
    expect([second.status, second.body.release.state]).toEqual([201, 'approved']);
    expect(second.body.release.signatures.map(({ personName, custody }) => [personName, custody])).toEqual([
      ['Person alice', 'software'],
      ['Person bernard', 'software'],
    ]);
    expect(await planOf(made.release.planId)).toMatchObject({ state: 'released', runId: made.release.runId });
    expect(await audited(made.release.id)).toEqual([
      'release.drafted',
      'release.signed',
      'release.signed',
      'release.approved',
    ]);
    // The run is asked for in the same transaction, and waits for the log before anything else.
    await vi.waitFor(async () => {
      const [run] = await desk.query<{ sealed_at: Date | null }>('select sealed_at from runs where id = $1', [
        made.release.runId,
      ]);
      expect(run?.sealed_at).toBeInstanceOf(Date);
    });
    const third = await desk.sign('claire', made);
    expect([third.status, third.body.code, third.body.detail]).toEqual([409, 'transition_refused', 'closed']);
    const again = await desk.draft('olga', made.release.planId);
    expect([again.status, again.body.code]).toEqual([409, 'transition_refused']);
  });

  it('who sign at the same moment approve once, and those who come too late are told', async () => {
    const made = await drafted();
    const answers = await Promise.all(
      ['alice', 'bernard', 'claire', 'david'].map((name) => desk.sign(name, made)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409]);
    expect((await read(made.release.id)).release.signatures).toHaveLength(2);
    expect(await desk.query('select 1 from runs where release_id = $1', [made.release.id])).toHaveLength(1);
    const actions = await audited(made.release.id);
    expect(actions.filter((action) => action === 'release.approved')).toHaveLength(1);
  });

  it('are not one person twice, nor one person with two keys', async () => {
    const made = await drafted();
    expect((await desk.sign('alice', made)).status).toBe(201);
    const twice = await desk.sign('alice', made);
    expect(await refusal(twice, made)).toEqual([409, 'transition_refused', 'done', 1]);

    const older = desk.passkey('claire');
    await desk.enrolKey('claire');
    await desk.publish('chief');
    const next = await drafted();
    const bytes = Buffer.from(next.payload, 'base64url');
    expect((await desk.sign('claire', next, older.sign(payloadTypes.command, bytes))).status).toBe(201);
    const other = await desk.sign('claire', next);
    expect(await refusal(other, next)).toEqual([409, 'transition_refused', 'done', 1]);
    // Both keys are good: another person's release takes the one that was refused here.
    const third = await drafted();
    expect((await desk.sign('claire', third)).status).toBe(201);
  });

  it('are not the one who asked and another', async () => {
    const made = await drafted();
    const own = await desk.sign('olga', made);
    expect(await refusal(own, made)).toEqual([422, 'signature_refused', 'signer_is_requester', 0]);
    expect((await desk.sign('alice', made)).body.release.state).toBe('awaiting_signatures');
  });
});

describe('a signature', () => {
  it('over other bytes is refused: another release, another type, a byte more', async () => {
    const [made, other] = [await drafted(), await drafted()];
    const foreign = await desk.sign('alice', made, desk.signature('alice', other));
    expect(await refusal(foreign, made)).toEqual([422, 'signature_refused', 'bad_signature', 0]);
    const typed = await desk.bentSignature('alice', made, { payloadType: payloadTypes.lock });
    expect((await desk.sign('alice', made, typed)).body.detail).toBe('bad_signature');
    const longer = Buffer.concat([Buffer.from(made.payload, 'base64url'), Buffer.from(' ')]);
    const spaced = desk.signature('alice', { payload: longer.toString('base64url') });
    expect((await desk.sign('alice', made, spaced)).body.detail).toBe('bad_signature');
    expect((await read(made.release.id)).release.signatures).toEqual([]);
  });

  it.each([
    ['given to another site', { origin: 'https://atlas.example.com' }],
    ['for another relying party', { rpId: 'example.com' }],
    ['without user verification', { userVerified: false }],
    ['without a person present', { userPresent: false }],
    ['of a registration', { type: 'webauthn.create' }],
  ])('%s is refused', async (_what, bend) => {
    const made = await drafted();
    const answer = await desk.sign('alice', made, await desk.bentSignature('alice', made, bend));
    expect(await refusal(answer, made)).toEqual([422, 'signature_refused', 'bad_signature', 0]);
    // The same key, nothing bent: only what was bent was at fault.
    expect((await desk.sign('alice', made, await desk.bentSignature('alice', made, {}))).status).toBe(201);
  });

  it('by a key that no policy document names is refused, also when it is enrolled already', async () => {
    const made = await drafted();
    const stranger = await desk.newPasskey();
    const bytes = Buffer.from(made.payload, 'base64url');
    const unknown = await desk.sign('alice', made, stranger.sign(payloadTypes.command, bytes));
    expect(await refusal(unknown, made)).toEqual([422, 'signature_refused', 'signer_unknown', 0]);
    await desk.enrolKey('nouveau');
    const pending = await desk.sign('nouveau', made);
    expect(await refusal(pending, made)).toEqual([422, 'signature_refused', 'signer_unknown', 0]);
  });

  it('of somebody else does not count for the one who hands it in', async () => {
    const made = await drafted();
    const lent = await desk.sign('alice', made, desk.signature('bernard', made));
    expect(await refusal(lent, made)).toEqual([422, 'signature_refused', 'signer_is_not_the_caller', 0]);
  });

  it('after the window is refused, and the release has expired', async () => {
    const made = await drafted(1_500);
    expect((await desk.sign('alice', made)).status).toBe(201);
    await new Promise((resolve) => setTimeout(resolve, 1_600));
    const late = await desk.sign('bernard', made);
    expect(await refusal(late, made)).toEqual([409, 'transition_refused', 'closed', 1]);
    expect((await read(made.release.id)).release.state).toBe('expired');
    expect(await desk.query('select 1 from runs where release_id = $1', [made.release.id])).toEqual([]);
  });

  it('under a policy document that has been replaced is refused; a new request takes the place of the old', async () => {
    const made = await drafted();
    expect((await desk.sign('alice', made)).status).toBe(201);
    await desk.publish('chief', [desk.passkey('david').keyId]);
    const late = await desk.sign('bernard', made);
    expect([late.status, late.body.code]).toEqual([409, 'transition_refused']);
    const next = await desk.draft('olga', made.release.planId);
    expect(next.status).toBe(201);
    expect((await read(made.release.id)).release.state).toBe('expired');
    const removed = await desk.sign('david', next.body);
    expect(await refusal(removed, next.body)).toEqual([422, 'signature_refused', 'signer_unknown', 0]);
    expect(await audited(made.release.id)).toEqual(['release.drafted', 'release.signed', 'release.expired']);
  });

  it('for a release of another tenant, or of none, finds nothing', async () => {
    const made = await drafted();
    const other = await desk.server.tenant('autre');
    await desk.server.member(other.tenantId, 'alice', ['approver']);
    const wrong = await desk.ask('alice', 'signRelease', {
      params: { tenantId: other.tenantId, releaseId: made.release.id },
      body: { signature: desk.signature('alice', made) },
    });
    expect([wrong.status, wrong.body.code]).toEqual([404, 'not_found']);
    const absent = await desk.ask('alice', 'signRelease', {
      params: { releaseId: newId() },
      body: { signature: desk.signature('alice', made) },
    });
    expect([absent.status, absent.body.code]).toEqual([404, 'not_found']);
  });
});

describe('the server’s own role', () => {
  it('cannot change what was asked for, what was signed, or who signed', async () => {
    const made = await drafted();
    await desk.sign('alice', made);
    const client = new pg.Client({ connectionString: desk.server.database.appUrl });
    await client.connect();
    const attempt = async (text: string): Promise<string> => {
      await client.query('begin');
      await client.query(`select set_config('atlas.tenant_id', $1, true)`, [desk.tenantId]);
      const outcome = await client.query(text, [made.release.id]).then(
        ({ rowCount }) => `${rowCount} rows`,
        (error: { code?: string }) => error.code ?? 'no code',
      );
      await client.query('rollback');
      return outcome;
    };
    try {
      expect(await attempt('select 1 from releases where id = $1')).toBe('1 rows');
      for (const text of [
        `update releases set payload = '\\x00' where id = $1`,
        `update releases set signatures_needed = 1 where id = $1`,
        `update releases set requester_id = gen_random_uuid() where id = $1`,
        `update releases set not_after = not_after + interval '1 year' where id = $1`,
        'delete from releases where id = $1',
        `update release_targets set document = '\\x00' where release_id = $1`,
        'delete from release_targets where release_id = $1',
        'update release_signatures set person_id = gen_random_uuid() where release_id = $1',
        'delete from release_signatures where release_id = $1',
      ])
        expect(await attempt(text), text).toBe('42501');
    } finally {
      await client.end();
    }
  });
});
