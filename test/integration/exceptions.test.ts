import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ExceptionBody, PatchException } from '#contract/exceptions.ts';
import type { Group } from '#contract/groups.ts';
import type { MaintenancePolicy, PlanDetail, PlanPreview } from '#contract/plans.ts';
import type { RunDetail } from '#contract/runs.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { quarantined } from '../harness/quarantined.ts';
import { monthly, ReleaseDesk, update } from '../harness/release-desk.ts';

interface Alerts {
  readonly requested: PatchException[];
  readonly expiringSoon: PatchException[];
  readonly expiredMissing: PatchException[];
  readonly ownerLost: PatchException[];
}

const dayMs = 86_400_000;
const openssl = { name: 'openssl', version: '1.0-2' };
const patience = { timeout: 15_000, interval: 50 };
const said = { reason: 'Vu en comité' };
let desk: ReleaseDesk;
let policyId: string;
let neighbour: { tenantId: string; siteId: string };

beforeAll(async () => {
  desk = await ReleaseDesk.open({
    chief: ['tenant_admin', 'operator', 'approver'],
    olga: ['operator'],
    odile: ['operator'],
    alice: ['approver'],
    bernard: ['approver'],
    lecteur: ['auditor'],
    client: ['client_viewer'],
  });
  for (const name of ['alice', 'bernard']) await desk.enrolKey(name);
  await desk.publish('chief');
  ({ id: policyId } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
    body: monthly,
  }));
  neighbour = await desk.server.tenant('voisin');
  await desk.server.member(neighbour.tenantId, 'etranger', ['tenant_admin', 'operator', 'approver']);
}, 120_000);

afterAll(() => desk.close());

const request = (bend: Partial<ExceptionBody> = {}): ExceptionBody => ({
  update: openssl,
  place: { kind: 'tenant', id: null },
  reason: 'Le progiciel ne démarre plus avec cette version',
  compensation: 'Accès limité au réseau interne',
  ownerId: desk.id('olga'),
  expiresAt: new Date(Date.now() + 90 * dayMs).toISOString(),
  ...bend,
});

const create = (bend?: Partial<ExceptionBody>, who = 'olga') =>
  desk.must<PatchException>(who, 'createException', { body: request(bend) });

const decide = (who: string, route: 'approveException' | 'refuseException' | 'revokeException', id: string) =>
  desk.ask<PatchException>(who, route, { params: { exceptionId: id }, body: said });

async function approved(bend?: Partial<ExceptionBody>): Promise<PatchException> {
  const { status, body } = await decide('alice', 'approveException', (await create(bend)).id);
  expect(status).toBe(200);
  return body;
}

const revoke = (id: string) => decide('olga', 'revokeException', id);

const preview = (hostIds: readonly string[]) =>
  desk.must<PlanPreview>('olga', 'previewPlan', { body: desk.request(policyId, hostIds) });

const packagesOf = async (hostId: string) =>
  (await preview([hostId])).hosts[0]?.packages.map(({ name }) => name);

const alerts = () => desk.must<Alerts>('lecteur', 'getExceptionAlerts');

const ids = (exceptions: readonly PatchException[]) => exceptions.map(({ id }) => id);

/** Approved, and over a moment later, as time alone ends it. */
async function brief(bend: Partial<ExceptionBody>): Promise<PatchException> {
  const exception = await approved({ ...bend, expiresAt: new Date(Date.now() + 1500).toISOString() });
  expect(exception.state).toBe('approved');
  return exception;
}

const isOver = (exceptionId: string) =>
  vi.waitFor(async () => {
    const { state } = await desk.must<PatchException>('lecteur', 'getException', { params: { exceptionId } });
    expect(state).toBe('expired');
  }, patience);

describe('an exception', () => {
  it('has no effect until another person than the one who asked approves it, and is told with its reason', async () => {
    const [both, only] = [
      await desk.host('both', { updates: [update('openssl'), update('libssl3')] }),
      await desk.host('only', { updates: [update('openssl')] }),
    ];
    const asked = await create({}, 'chief');
    expect(asked).toMatchObject({ state: 'requested', missingOn: null, decisions: [], ownerLost: false });
    expect(await packagesOf(only)).toEqual(['openssl']);
    expect(ids((await alerts()).requested)).toContain(asked.id);

    // Who asked is an approver too, and must not be the second pair of eyes.
    const own = await decide('chief', 'approveException', asked.id);
    expect([own.status, own.body.code]).toEqual([422, 'policy_refused']);
    expect((await decide('odile', 'approveException', asked.id)).status).toBe(403);
    expect(await packagesOf(only)).toEqual(['openssl']);

    const { body: exception } = await decide('alice', 'approveException', asked.id);
    expect(exception).toMatchObject({ state: 'approved', missingOn: 2, expiresSoon: false });
    expect(exception.decisions).toMatchObject([{ decision: 'approved', by: desk.id('alice'), ...said }]);
    const { hosts, warnings } = await preview([both, only]);
    const of = (hostId: string) => hosts.find((host) => host.hostId === hostId);
    expect(of(both)?.packages.map(({ name }) => name)).toEqual(['libssl3']);
    const { id, reason, expiresAt } = exception;
    expect(of(both)?.leftOut).toEqual([
      { ...openssl, code: 'exempted', exception: { id, reason, expiresAt } },
    ]);
    expect(of(only)).toMatchObject({
      included: false,
      decision: { code: 'only_exempted', values: { count: 1, first: 'openssl', reason } },
    });
    expect(warnings).toContainEqual({ code: 'updates_exempted', values: { count: 1 } });

    expect((await decide('bernard', 'approveException', id)).status).toBe(409);
    expect((await revoke(id)).body).toMatchObject({ state: 'revoked', missingOn: null });
    expect(await packagesOf(only)).toEqual(['openssl']);
    expect((await revoke(id)).status).toBe(409);
    const entries = await desk.query<{ action: string }>(
      `select action from audit_entries where tenant_id = $1 and action like 'exception.%' order by entry_id`,
      [desk.tenantId],
    );
    expect(entries.map(({ action }) => action)).toEqual([
      'exception.requested',
      'exception.approved',
      'exception.revoked',
    ]);
  });

  it('holds where it says: on a host, in a group as it is now, in a site, everywhere', async () => {
    const here = await desk.host('ici', { updates: [update('openssl')] });
    const there = await desk.host('ailleurs', { updates: [update('openssl')] });
    const group = await desk.must<Group>('olga', 'createGroup', {
      body: {
        ...{ name: 'Annuaire', description: '', hostIds: [here], ordered: false },
        budget: { kind: 'max_unavailable', hosts: 1 },
      },
    });
    const left = async () => (await preview([here, there])).hosts.filter(({ leftOut }) => leftOut).length;
    const cases: [ExceptionBody['place'], number][] = [
      [{ kind: 'host', id: here }, 1],
      [{ kind: 'group', id: group.id }, 1],
      [{ kind: 'site', id: desk.siteId }, 2],
      [{ kind: 'tenant', id: null }, 2],
    ];
    for (const [place, hosts] of cases) {
      const { id } = await approved({ place });
      expect([place.kind, await left()]).toEqual([place.kind, hosts]);
      await revoke(id);
    }
    const { id } = await approved({ place: { kind: 'group', id: group.id }, update: null });
    const { name, description, ordered, budget } = group;
    const grown = await desk.must<Group>('olga', 'updateGroup', {
      params: { groupId: group.id },
      body: { name, description, hostIds: [here, there], ordered, budget },
      version: group.version,
    });
    expect(await left()).toBe(2);
    await desk.must('olga', 'removeGroup', { params: { groupId: group.id }, version: grown.version });
    expect(await left()).toBe(0);
    const orphan = await desk.must<PatchException>('olga', 'getException', { params: { exceptionId: id } });
    expect(orphan.place).toEqual({ kind: 'group', id: group.id, name: 'Annuaire', gone: true });
    await revoke(id);
  });

  it('is told rather than a quarantine of the same update', async () => {
    const host = await desk.host('deux-raisons', { updates: [update('zlib')] });
    await quarantined(desk, 'zlib', '1.0-2');
    const { id } = await approved({ update: { name: 'zlib', version: '1.0-2' } });
    expect((await preview([host])).hosts[0]?.leftOut?.map(({ code }) => code)).toEqual(['exempted']);
    await revoke(id);
    expect((await preview([host])).hosts[0]?.leftOut?.map(({ code }) => code)).toEqual(['quarantined']);
  });

  it('is refused with a reason, or taken back by who asked, and then holds nothing', async () => {
    const refused = await create();
    expect((await decide('bernard', 'refuseException', refused.id)).body.state).toBe('refused');
    expect((await decide('alice', 'approveException', refused.id)).status).toBe(409);
    const withdrawn = await create();
    expect((await revoke(withdrawn.id)).body.state).toBe('revoked');
    expect((await decide('alice', 'approveException', withdrawn.id)).status).toBe(409);
  });

  it('is decided once when two people decide at the same moment', async () => {
    const { id } = await create();
    const answers = await Promise.all([
      decide('alice', 'approveException', id),
      decide('bernard', 'refuseException', id),
      decide('bernard', 'approveException', id),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    const { decisions } = await desk.must<PatchException>('olga', 'getException', {
      params: { exceptionId: id },
    });
    expect(decisions).toHaveLength(1);
    await revoke(id);
  });

  it('cannot be asked for without an end, an owner and a place that are real', async () => {
    const foreignHost = newId();
    await desk.query(
      `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks) values ($1, $2, $3, 'x', $4, '[]')`,
      [foreignHost, neighbour.tenantId, neighbour.siteId, 'd'.repeat(64)],
    );
    const wrong: [Partial<ExceptionBody>, string][] = [
      [{ expiresAt: new Date(Date.now() - 1000).toISOString() }, '/body/expiresAt'],
      [{ expiresAt: new Date(Date.now() + 366 * dayMs).toISOString() }, '/body/expiresAt'],
      [{ ownerId: newId() }, '/body/ownerId'],
      [{ place: { kind: 'host', id: foreignHost } }, '/body/place/id'],
      [{ place: { kind: 'site', id: neighbour.siteId } }, '/body/place/id'],
      [{ place: { kind: 'group', id: null } }, '/body/place/id'],
      [{ reason: '' }, '/body/reason'],
      [{ compensation: '' }, '/body/compensation'],
    ];
    for (const [bend, path] of wrong) {
      const { status, body } = await desk.ask('olga', 'createException', { body: request(bend) });
      expect([status, body.fields?.[0]?.path]).toEqual([400, path]);
    }
  });

  it('does not exist for another tenant, nor its register for a client’s reader', async () => {
    const { id } = await create();
    const foreign = { tenantId: neighbour.tenantId, exceptionId: id };
    expect((await desk.ask('etranger', 'getException', { params: foreign })).status).toBe(404);
    const approval = { params: foreign, body: said };
    expect((await desk.ask('etranger', 'approveException', approval)).status).toBe(404);
    const list = await desk.must<{ items: unknown[] }>('etranger', 'listExceptions', {
      params: { tenantId: neighbour.tenantId },
    });
    expect(list.items).toEqual([]);
    expect((await desk.ask('client', 'listExceptions')).status).toBe(403);
    expect((await desk.ask('lecteur', 'createException', { body: request() })).status).toBe(403);
    await revoke(id);
  });

  it('keeps its history: the server’s own role can neither change nor remove a word of it', async () => {
    const { id } = await approved();
    await expect(
      desk.server.platform.db.inTenant(desk.tenantId, (tx) =>
        tx.updateTable('exceptions').set({ expires_at: new Date() }).where('id', '=', id).execute(),
      ),
    ).rejects.toThrow(/permission denied/);
    await expect(
      desk.server.platform.db.inTenant(desk.tenantId, (tx) =>
        tx.deleteFrom('exception_decisions').where('exception_id', '=', id).execute(),
      ),
    ).rejects.toThrow(/permission denied/);
    await revoke(id);
  });
});

describe('the end of an exception', () => {
  it('comes by the time alone, and is told while the update is still missing and nothing took its place', async () => {
    const hostId = await desk.host('tard', { updates: [update('curl')] });
    const curl = { name: 'curl', version: '1.0-2' };
    const exception = await brief({ update: curl });
    expect(await packagesOf(hostId)).toEqual([]);
    expect(ids((await alerts()).expiringSoon)).toContain(exception.id);
    await isOver(exception.id);
    expect(await packagesOf(hostId)).toEqual(['curl']);
    expect((await decide('olga', 'revokeException', exception.id)).status).toBe(409);
    const { expiringSoon, expiredMissing } = await alerts();
    expect(ids(expiringSoon)).not.toContain(exception.id);
    expect(expiredMissing.find(({ id }) => id === exception.id)).toMatchObject({ missingOn: 1 });

    const renewed = await approved({ update: curl });
    expect(ids((await alerts()).expiredMissing)).not.toContain(exception.id);
    await revoke(renewed.id);
    expect(ids((await alerts()).expiredMissing)).toContain(exception.id);
    // The host has it now, by whatever way.
    await desk.query(
      `update host_facts set inventory = jsonb_set(inventory, '{updates}', '[]'), pending_updates = 0 where host_id = $1`,
      [hostId],
    );
    expect(ids((await alerts()).expiredMissing)).not.toContain(exception.id);
  });

  it('ends a request that nobody decided on', async () => {
    const { id } = await create({ expiresAt: new Date(Date.now() + 500).toISOString() });
    await isOver(id);
    expect((await decide('alice', 'approveException', id)).status).toBe(409);
    expect(ids((await alerts()).requested)).not.toContain(id);
  });

  it('changes nothing of a plan that was made; plan and run say that it ended', async () => {
    const hostId = await desk.host('prevu', {
      updates: [update('sudo'), update('libc6')],
    });
    const exception = await brief({ update: { name: 'sudo', version: '1.0-2' } });
    const { plan } = await desk.plan('olga', desk.request(policyId, [hostId]));
    const read = () => desk.must<PlanDetail>('client', 'getPlan', { params: { planId: plan.id } });
    expect((await read()).endedExceptions).toEqual([]);
    await isOver(exception.id);
    const after = await read();
    expect(after.plan.sha256).toBe(plan.sha256);
    expect(after.preview.hosts[0]?.packages.map(({ name }) => name)).toEqual(['libc6']);
    const ended = {
      exceptionId: exception.id,
      reason: exception.reason,
      how: 'expired',
      endedAt: exception.expiresAt,
    };
    expect(after.endedExceptions).toEqual([ended]);

    const { body: drafted } = await desk.draft('olga', plan.id);
    await desk.sign('alice', drafted);
    const { runId } = (await desk.sign('bernard', drafted)).body.release;
    const run = await vi.waitFor(async () => {
      const detail = await desk.must<RunDetail>('client', 'getRun', { params: { runId } });
      expect(detail.run.startedAt).not.toBeNull();
      return detail;
    }, patience);
    expect(run.endedExceptions).toEqual([ended]);
  }, 60_000);

  it('is announced when it comes before the plan begins, and by hand counts as much as by time', async () => {
    const hostId = await desk.host('avance', { updates: [update('tar'), update('gzip')] });
    const tar = await approved({
      update: { name: 'tar', version: '1.0-2' },
      expiresAt: new Date(Date.now() + dayMs).toISOString(),
    });
    const later = {
      notBefore: new Date(Date.now() + 2 * dayMs).toISOString(),
      notAfter: new Date(Date.now() + 2 * dayMs + 3_600_000).toISOString(),
    };
    const { plan, preview: made } = await desk.plan('olga', desk.request(policyId, [hostId], later));
    expect(made.warnings).toContainEqual({ code: 'exception_ends_before', values: { count: 1 } });
    await revoke(tar.id);
    const { endedExceptions } = await desk.must<PlanDetail>('olga', 'getPlan', {
      params: { planId: plan.id },
    });
    expect(endedExceptions).toMatchObject([{ exceptionId: tar.id, how: 'revoked' }]);
  });
});

describe('the register', () => {
  it('is ordered by end, filtered by state and paged without a gap', async () => {
    const made = await Promise.all(
      [40, 20, 30].map((days) =>
        create({ expiresAt: new Date(Date.now() + days * dayMs).toISOString(), update: null }),
      ),
    );
    const read = async (query: string) => {
      const items: PatchException[] = [];
      for (let cursor: string | null = null; ;) {
        const page: { items: PatchException[]; nextCursor: string | null } = await desk.must(
          'lecteur',
          'listExceptions',
          { query: `limit=2&${query}${cursor === null ? '' : `&cursor=${cursor}`}` },
        );
        items.push(...page.items);
        if (page.nextCursor === null) return items;
        cursor = page.nextCursor;
      }
    };
    const all = await read('');
    expect(new Set(ids(all)).size).toBe(all.length);
    expect(all.map(({ expiresAt }) => expiresAt)).toEqual(all.map(({ expiresAt }) => expiresAt).sort());
    expect(ids(await read('sort=-requestedAt'))).toEqual(ids(all).sort().reverse());
    for (const state of ['requested', 'approved', 'refused', 'revoked', 'expired'] as const) {
      const some = await read(`state=${state}`);
      expect(some.every((exception) => exception.state === state)).toBe(true);
      expect(ids(some)).toEqual(ids(all.filter((exception) => exception.state === state)));
    }
    expect(ids(await read('state=requested'))).toEqual([made[1]?.id, made[2]?.id, made[0]?.id]);
    for (const { id } of made) await revoke(id);
  });

  it('shows an owner who has lost the account, and an end that is near', async () => {
    const { id } = await approved({
      ownerId: desk.id('odile'),
      expiresAt: new Date(Date.now() + 13 * dayMs).toISOString(),
    });
    const soon = await alerts();
    expect(soon.expiringSoon.find((one) => one.id === id)).toMatchObject({
      expiresSoon: true,
      ownerName: 'Person odile',
    });
    expect(ids(soon.ownerLost)).not.toContain(id);
    await desk.must('chief', 'removeMember', { params: { personId: desk.id('odile') } });
    const { ownerLost } = await alerts();
    expect(ownerLost.find((one) => one.id === id)).toMatchObject({ ownerLost: true, ownerName: null });
    await revoke(id);
  });
});
