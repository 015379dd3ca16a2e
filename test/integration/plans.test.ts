import { createHash } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MaintenancePolicy, PlanDetail, PlanPreview } from '#contract/plans.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { monthly, ReleaseDesk, update } from '../harness/release-desk.ts';

let desk: ReleaseDesk;
let policyId: string;
const gib = 1024 ** 3;

beforeAll(async () => {
  desk = await ReleaseDesk.open({
    chief: ['tenant_admin'],
    olga: ['operator', 'approver'],
    alice: ['approver'],
    bernard: ['approver'],
    lecteur: ['auditor'],
  });
  for (const name of ['olga', 'alice', 'bernard']) await desk.enrolKey(name);
  await desk.publish('chief');
  ({ id: policyId } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
    body: monthly,
  }));
}, 120_000);

afterAll(() => desk.close());

const preview = (hostIds: readonly string[], bend = {}) =>
  desk.ask<PlanPreview>('olga', 'previewPlan', { body: desk.request(policyId, hostIds, bend) });

describe('a preview', () => {
  it('names hosts in their order, updates, space, guard, rollback, checks and who must release', async () => {
    const [web, db] = [await desk.host('web-1'), await desk.host('db-1')];
    await desk.query(`update hosts set tags = '{canary}' where id = $1`, [web]);
    const { status, body } = await preview([db, web]);
    expect(status).toBe(200);
    expect(body.hosts.map(({ hostname, order, wave }) => [hostname, order, wave])).toEqual([
      ['web-1', 0, 1],
      ['db-1', 1, 2],
    ]);
    const [first] = body.hosts;
    expect(first).toMatchObject({
      included: true,
      decision: { code: 'included' },
      rollbackTier: 1,
      downloadBytes: 2_000_000,
      restart: 'if_required',
      // Nothing was ever done here: the limits of the steps stand for what is not known.
      expectedSeconds: { basis: 'allowances', runs: 0 },
      checks: [{ kind: 'tcp', port: 443 }, { kind: 'approved_updates_installed' }],
    });
    expect(first?.packages.map(({ name, version }) => `${name} ${version}`)).toEqual([
      'openssl 1.0-2',
      'libssl3 1.0-2',
    ]);
    expect(body.counts).toMatchObject({ hosts: 2, included: 2, updates: 4, security: 4, waves: 2 });
    const asked = `select 1 from audit_entries where action = 'plan.previewed' and actor_id = $1`;
    expect(await desk.query(asked, [desk.id('olga')])).toHaveLength(1);
    // Olga holds a key too, and asks: she is not among those who can sign.
    expect([body.class, body.signersNeeded, body.signersAvailable]).toEqual(['R2', 2, 2]);
    expect(body.warnings).toEqual([]);
  });

  it('expects what this host took before, else what hosts of its kind did, and says from how many runs', async () => {
    const seen = await desk.host('seen');
    const fresh = await desk.host('fresh');
    await pastRuns(seen, [100, 140, 180]);
    // Another tenant is slow: that is no business of this one.
    await pastRuns(newId(), [90_000, 90_000, 90_000], newId());
    const { body } = await preview([seen, fresh]);
    const of = (hostId: string) => body.hosts.find((host) => host.hostId === hostId)?.expectedSeconds;
    // Ten seconds before the installation, thirty for the restart, twenty after it.
    expect(of(seen)).toMatchObject({ low: 200, high: 240, basis: 'host_history', runs: 3 });
    expect(of(seen)?.steps).toContainEqual({ step: 'install', low: 140, high: 180 });
    expect(of(fresh)).toMatchObject({ low: 200, basis: 'fleet_history', runs: 3 });
    await pastRuns(seen, [300, 300]);
    const { body: later } = await preview([fresh]);
    expect(later.hosts[0]?.expectedSeconds).toMatchObject({ basis: 'class_history', runs: 5, low: 240 });
    expect(later.timing?.expectedSeconds).toEqual({ low: 240, high: 360, runs: 5, hostsOnLimits: 0 });
    expect(later.timing?.fit).toBe('fits');
    await desk.query('set session_replication_role = replica');
    await desk.query('delete from command_results');
    await desk.query('set session_replication_role = origin');
  });

  it('leaves a host out and says why', async () => {
    const cases = {
      nothing_pending: await desk.host('calm', { updates: [update('vim', { security: false })] }),
      no_space: await desk.host('full', {
        disks: [{ mount: '/', fs: 'btrfs', sizeBytes: 10 * gib, freeBytes: 0.5 * gib }],
      }),
      no_guard: await desk.host('ext4', { guardTier: 'none', guardReason: 'the root is ext4' }),
      undigested_updates: await desk.host('loose', { updates: [update('curl', { sha256: null })] }),
      unsupported_platform: await desk.host('rocky', { packageManager: 'dnf' }),
      inventory_stale: await desk.host('mute', null),
      agent_not_connected: await desk.host('gone'),
      agent_revoked: await desk.host('banned'),
      in_other_run: await desk.host('busy'),
    };
    await desk.query(`update agents set last_seen_at = now() - interval '1 hour' where host_id = $1`, [
      cases.agent_not_connected,
    ]);
    await desk.query('update agents set revoked_at = now() where host_id = $1', [cases.agent_revoked]);
    await desk.query('insert into host_claims (tenant_id, host_id, run_id) values ($1, $2, $3)', [
      desk.tenantId,
      cases.in_other_run,
      newId(),
    ]);
    const { body } = await preview(Object.values(cases));
    const said = new Map(body.hosts.map((host) => [host.hostId, host]));
    for (const [code, hostId] of Object.entries(cases)) {
      expect(said.get(hostId)).toMatchObject({
        included: false,
        decision: { code },
        wave: null,
        order: null,
      });
    }
    expect(said.get(cases.no_space)?.decision.values).toMatchObject({ freeBytes: 0.5 * gib });
    expect(said.get(cases.no_guard)?.decision.values).toEqual({ reason: 'the root is ext4' });
    expect(body.warnings).toEqual([{ code: 'hosts_excluded', values: { count: Object.keys(cases).length } }]);
  });

  it('of an inventory of the day before yesterday leaves the host out', async () => {
    const old = await desk.host('old', { collectedAt: new Date(Date.now() - 48 * 3600_000).toISOString() });
    const { body } = await preview([old]);
    expect(body.hosts[0]?.decision.code).toBe('inventory_stale');
  });

  it('names a host that does not exist here, a window that is over, and one that ends before it begins', async () => {
    const known = await desk.host('known');
    const unknown = await preview([known, newId()]);
    expect([unknown.status, unknown.body.code]).toEqual([400, 'invalid_request']);
    expect(unknown.body.fields).toEqual([
      { path: '/body/hostIds/1', rule: 'exists', message: 'there is no such host here' },
    ]);
    const over = await preview([known], {
      notBefore: '2020-01-01T00:00:00.000Z',
      notAfter: '2020-01-01T01:00:00.000Z',
    });
    expect(over.body.fields?.[0]).toMatchObject({ path: '/body/notAfter', rule: 'in_the_future' });
    const backwards = await preview([known], { notBefore: '2100-01-01T00:00:00.000Z' });
    expect(backwards.body.fields?.[0]).toMatchObject({ path: '/body/notAfter', rule: 'after_not_before' });
    const strange = await desk.ask('olga', 'previewPlan', { body: desk.request(newId(), [known]) });
    expect([strange.status, strange.body.code]).toEqual([404, 'not_found']);
  });

  it('warns about a window too short for anything and about hosts that nothing can put back', async () => {
    const bare = await desk.host('bare', { guardTier: 'none', guardReason: 'the root is ext4' });
    const { id } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
      body: { ...monthly, name: 'Sans filet', guard: { ...monthly.guard, mode: 'best_effort' } },
    });
    const request = desk.request(id, [bare], { notAfter: new Date(Date.now() + 300_000).toISOString() });
    const body = await desk.must<PlanPreview>('olga', 'previewPlan', { body: request });
    expect(body.warnings.map(({ code }) => code)).toEqual(['window_short', 'hosts_without_guard']);
    expect(body.hosts[0]).toMatchObject({
      included: true,
      rollbackTier: 0,
      decision: { code: 'included_without_guard', values: { reason: 'the root is ext4' } },
    });
  });
});

describe('a plan', () => {
  it('is refused when no host of it would be changed', async () => {
    const calm = await desk.host('calm-2', { updates: [] });
    const { status, body } = await desk.ask('olga', 'createPlan', { body: desk.request(policyId, [calm]) });
    expect([status, body.code]).toEqual([409, 'nothing_to_install']);
  });

  it('keeps its digest, whatever happens to the policy, the host and its updates', async () => {
    const hostId = await desk.host('stable');
    const { id } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
      body: { ...monthly, name: 'Changeante' },
    });
    const made = await desk.plan('olga', desk.request(id, [hostId]));
    expect(made.plan).toMatchObject({
      state: 'planned',
      createdBy: desk.id('olga'),
      policyName: 'Changeante',
    });
    const [stored] = await desk.query<{ document: Buffer }>('select document from plans where id = $1', [
      made.plan.id,
    ]);
    const digest = createHash('sha256')
      .update(stored?.document ?? '')
      .digest('hex');
    expect(made.plan.sha256).toBe(digest);
    const entries = await desk.query<{ action: string; digest: string | null }>(
      `select action, convert_from(leaf, 'utf8')::jsonb ->> 'digest' as digest from audit_entries where subject_id = $1`,
      [made.plan.id],
    );
    expect(entries).toEqual([{ action: 'plan.created', digest }]);

    await desk.query(`update maintenance_policies set body = body || '{"restart":"never"}' where id = $1`, [
      id,
    ]);
    await desk.query(`update hosts set hostname = 'renamed' where id = $1`, [hostId]);
    await desk.query(
      `update host_facts set inventory = jsonb_set(inventory, '{updates}', '[]') where host_id = $1`,
      [hostId],
    );
    const later = await desk.must<PlanDetail>('olga', 'getPlan', { params: { planId: made.plan.id } });
    expect(later).toEqual(made);
  });

  it('holds every order in the document whose digest is released, and nothing of excluded hosts', async () => {
    const [good, calm] = [await desk.host('good'), await desk.host('calm-3', { updates: [] })];
    const { plan } = await desk.plan('olga', desk.request(policyId, [good, calm]));
    const [row] = await desk.query<{ document: Buffer }>('select document from plans where id = $1', [
      plan.id,
    ]);
    const document = JSON.parse(row?.document.toString() ?? '{}') as {
      targets: { host: string; orders: { step: string; verb: string; args: Record<string, unknown> }[] }[];
    };
    expect(document.targets.map(({ host }) => host)).toEqual([good]);
    const orders = document.targets[0]?.orders ?? [];
    expect(orders.map(({ verb }) => verb)).toEqual([
      'host.preflight',
      'guard.create',
      'updates.download',
      'updates.install',
      'host.restart',
      'health.verify',
      'guard.commit',
      'guard.rollback',
    ]);
    // Room for the policy's reserve and for four times what is downloaded.
    expect(orders[0]?.args).toEqual({ minFreeBytes: gib + 8_000_000 });
  });

  it('cannot be edited or removed, not even by the role of the server in its own tenant', async () => {
    const { plan } = await desk.plan('olga', desk.request(policyId, [await desk.host('fixed')]));
    const client = new pg.Client({ connectionString: desk.server.database.appUrl });
    await client.connect();
    const attempt = async (text: string): Promise<string> => {
      await client.query('begin');
      await client.query(`select set_config('atlas.tenant_id', $1, true)`, [desk.tenantId]);
      const seen = await client.query('select 1 from plans where id = $1', [plan.id]);
      expect(seen.rowCount).toBe(1);
      const outcome = await client.query(text, [plan.id]).then(
        ({ rowCount }) => `${rowCount} rows`,
        (error: { code?: string }) => error.code ?? 'no code',
      );
      await client.query('rollback');
      return outcome;
    };
    try {
      for (const text of [
        `update plans set document = '\\x00' where id = $1`,
        `update plans set not_after = not_after + interval '1 year' where id = $1`,
        'delete from plans where id = $1',
        `insert into plans select * from plans where id = $1 on conflict (id) do update set title = 'x'`,
      ])
        expect(await attempt(text), text).toBe('42501');
    } finally {
      await client.end();
    }
  });

  it('expires with its window, and says so', async () => {
    const request = desk.request(policyId, [await desk.host('late')], {
      notAfter: new Date(Date.now() + 1200).toISOString(),
    });
    const { plan } = await desk.plan('olga', request);
    await new Promise((resolve) => setTimeout(resolve, 1300));
    const later = await desk.must<PlanDetail>('olga', 'getPlan', { params: { planId: plan.id } });
    expect(later.plan.state).toBe('expired');
    const { status, body } = await desk.draft('olga', plan.id);
    expect([status, body.code]).toEqual([409, 'transition_refused']);
  });

  it('is made by those who may plan only, and read by the others', async () => {
    const hostId = await desk.host('seen-only');
    const refused = await desk.ask('lecteur', 'createPlan', { body: desk.request(policyId, [hostId]) });
    expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
    const { plan } = await desk.plan('olga', desk.request(policyId, [hostId]));
    const read = await desk.must<PlanDetail>('lecteur', 'getPlan', { params: { planId: plan.id } });
    expect(read.plan.id).toBe(plan.id);
  });

  it('is found in the list page by page, newest first, each once', async () => {
    const all: string[] = [];
    let cursor = '';
    do {
      const page = await desk.must<{ items: PlanDetail['plan'][]; nextCursor: string | null; total: number }>(
        'lecteur',
        'listPlans',
        { query: `limit=2${cursor}` },
      );
      expect(page.items.length).toBeLessThanOrEqual(2);
      all.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor === null ? '' : `&cursor=${page.nextCursor}`;
    } while (cursor !== '');
    const rows = await desk.query<{ id: string }>('select id from plans order by id desc');
    expect(all).toEqual(rows.map(({ id }) => id));
    const strange = await desk.ask('lecteur', 'listPlans', { query: 'cursor=abc' });
    expect([strange.status, strange.body.code, strange.body.fields?.[0]?.path]).toEqual([
      400,
      'invalid_request',
      '/query/cursor',
    ]);
  });
});

/** Committed host runs of the past that took these times, seconds; the rest of those runs is of no interest here. */
/** Former runs with the installation taking so long, as commands and results leave them. */
async function pastRuns(
  hostId: string,
  seconds: readonly number[],
  tenantId: string = desk.tenantId,
): Promise<void> {
  const agentId = newId();
  await desk.query('set session_replication_role = replica');
  for (const [n, took] of seconds.entries()) {
    const hostRunId = newId();
    await desk.query(
      `insert into host_runs (id, tenant_id, run_id, host_id, agent_id, hostname, state, state_since, wave, position, fence, rollback_tier,
         outcomes, packages, memory, started_at, ended_at)
       values ($1, $2, $3, $4, $3, 'seen', 'committed', now(), 1, 0, 1, 1, '{}', '[]', '{}', now(), now())`,
      [hostRunId, tenantId, newId(), hostId],
    );
    const steps = { preflight: 10, install: took, restart: 30, verify: 20 };
    for (const [at, [step, lasted]] of Object.entries(steps).entries()) {
      const id = newId();
      await desk.query(
        `insert into commands (id, tenant_id, agent_id, host_id, verb, host_run_id, step) values ($1, $2, $3, $4, 'v', $5, $6)`,
        [id, tenantId, agentId, hostId, hostRunId, step],
      );
      await desk.query(
        `insert into command_results (tenant_id, agent_id, seq, command_id, host_run_id, outcome, code, frame_seq, received_at)
         values ($1, $2, $3, $4, $5, 'succeeded', 'ok', $3, (select created_at from commands where id = $4) + make_interval(secs => $6))`,
        [tenantId, agentId, n * 10 + at + 1, id, hostRunId, lasted],
      );
    }
  }
  await desk.query('set session_replication_role = origin');
}
