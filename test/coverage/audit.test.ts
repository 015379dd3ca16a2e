import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ApiKey, Member } from '#contract/access.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { Group, HostDependency } from '#contract/groups.ts';
import type { MaintenancePolicy, PlanDetail } from '#contract/plans.ts';
import type { ReleaseDetail } from '#contract/releases.ts';
import type { RouteSpec } from '#contract/route.ts';
import { routes, type RouteName } from '#contract/routes.ts';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { agentUses } from '../harness/agent-uses.ts';
import { approve, missRun, releaseNight, runEnds } from '../harness/coming-run.ts';
import { exceptionUses } from '../harness/exception-uses.ts';
import { feedUses } from '../harness/feed-uses.ts';
import { quarantined } from '../harness/quarantined.ts';
import { monthly, nights, ReleaseDesk, yearEnd } from '../harness/release-desk.ts';

let desk: ReleaseDesk;
let policyId: string;
let member: Member;
let hosts = 0;
const patience = { timeout: 20_000, interval: 50 };

beforeAll(async () => {
  desk = await ReleaseDesk.open({
    chief: ['platform_admin', 'tenant_admin', 'operator', 'approver', 'auditor'],
    alice: ['approver'],
    bernard: ['approver'],
    claire: ['approver'],
  });
  for (const name of ['alice', 'bernard']) await desk.enrolKey(name);
  await desk.publish('chief');
  ({ id: policyId } = await ask<MaintenancePolicy>('createMaintenancePolicy', { body: monthly }));
}, 120_000);

afterAll(() => desk.close());

/** As somebody who may do everything but sign what he asked for himself. */
const ask = <T = unknown>(name: RouteName, wish: Parameters<ReleaseDesk['must']>[2] = {}) =>
  desk.must<T>('chief', name, wish);

const createPolicy = (name: string) =>
  ask<MaintenancePolicy>('createMaintenancePolicy', { body: { ...monthly, name } });

const createWindow = (name: string) => ask<MaintenanceWindow>('createWindow', { body: { ...nights, name } });

const createFreeze = (name: string) => ask<Freeze>('createFreeze', { body: { ...yearEnd, name } });

const createApiKey = (name: string) =>
  ask<{ apiKey: ApiKey }>('createApiKey', { body: { name, scopes: ['fleet.read'], expiresInDays: 1 } });

const createEnrolmentToken = () =>
  ask<{ enrolmentToken: { id: string } }>('createEnrolmentToken', {
    body: { siteId: desk.siteId, expiresInMinutes: 5 },
  });

const groupOf = (name: string, hostIds: readonly string[]) => ({
  ...{ name, description: '', hostIds, ordered: false },
  budget: { kind: 'max_unavailable', hosts: 1 },
});

const createGroup = async (name: string) =>
  ask<Group>('createGroup', { body: groupOf(name, [await newHost(), await newHost()]) });

const createDependency = async () => {
  const [dependentHostId, providerHostId] = [await newHost(), await newHost()];
  const body = { dependentHostId, providerHostId, kind: 'guest_before_hypervisor' };
  return ask<HostDependency>('createHostDependency', { body });
};

const reason = { reason: 'Essai' };

function newHost(): Promise<string> {
  hosts += 1;
  return desk.host(`host-${hosts}`);
}

async function planned(): Promise<PlanDetail> {
  return desk.plan('chief', desk.request(policyId, [await newHost()]));
}

async function drafted(): Promise<ReleaseDetail> {
  return (await desk.draft('chief', (await planned()).plan.id)).body;
}

async function signed(): Promise<ReleaseDetail> {
  const release = await drafted();
  const { status, body } = await desk.sign('alice', release);
  expect(status).toBe(201);
  return body;
}

/** A run on its way: nobody answers its host, so that it stays there. */
async function running(): Promise<{ runId: string }> {
  const { body } = await desk.sign('bernard', await signed());
  expect(body.release.state).toBe('approved');
  const { runId } = body.release;
  await vi.waitFor(async () => {
    const [run] = await desk.query<{ state: string }>('select state from runs where id = $1', [runId]);
    expect(run?.state).toBe('running');
  }, patience);
  return { runId };
}

const coming = async () => releaseNight(desk, { policyId, hostId: await newHost(), name: `Nuits ${hosts}` });

async function paused(): Promise<{ runId: string }> {
  const params = await running();
  await ask('pauseRun', { params, body: reason });
  return params;
}

/** A host that could not even be begun, in a run that a person may still turn to. */
async function failedHostRun(): Promise<string> {
  const { runId } = await paused();
  const [row] = await desk.query<{ id: string }>(
    `update host_runs set state = 'failed', memory = memory || '{"state":"failed"}', ended_at = now(), deadline_at = null
     where run_id = $1 returning id`,
    [runId],
  );
  return row?.id ?? '';
}

async function lockBy(who: string, state: 'locked' | 'open') {
  const { payload } = await desk.must<{ payload: string }>(who, 'draftLock', {
    body: { state, runId: null, ...reason },
  });
  const signature = desk.passkey(who).sign(payloadTypes.lock, Buffer.from(payload, 'base64url'));
  return { envelope: { payloadType: payloadTypes.lock, payload, signatures: [signature] } };
}

/** One real use of each route, in an order in which each has what it needs. */
const uses: readonly (readonly [RouteName, () => Promise<unknown>])[] = [
  ['createLiveTicket', () => ask('createLiveTicket')],
  ['createTenant', () => ask('createTenant', { body: { name: 'Autre', slug: 'autre' } })],
  ['updateTenant', () => ask('updateTenant', { body: { colour: 'teal' }, version: 1 })],
  ['createSite', () => ask('createSite', { body: { name: 'Annexe', timeZone: 'Europe/Paris' } })],
  [
    'updateSite',
    () => ask('updateSite', { params: { siteId: desk.siteId }, body: { name: 'Siège social' }, version: 1 }),
  ],
  [
    'createMember',
    async () => {
      const who = { username: 'nouveau', name: 'Nouveau', email: 'nouveau@example.test' };
      ({ member } = await ask<{ member: Member }>('createMember', { body: { ...who, roles: ['auditor'] } }));
    },
  ],
  [
    'updateMember',
    () => {
      const { personId, version } = member;
      return ask('updateMember', { params: { personId }, body: { roles: ['operator'] }, version });
    },
  ],
  ['removeMember', () => ask('removeMember', { params: { personId: member.personId } })],
  ['createApiKey', () => createApiKey('relevés')],
  [
    'revokeApiKey',
    async () => {
      const { apiKey } = await createApiKey('brève');
      return ask('revokeApiKey', { params: { apiKeyId: apiKey.id } });
    },
  ],
  ['createMaintenancePolicy', () => createPolicy('Première')],
  [
    'updateMaintenancePolicy',
    async () => {
      const { id, version } = await createPolicy('Deuxième');
      const body = { ...monthly, name: 'Deuxième, revue' };
      return ask('updateMaintenancePolicy', { params: { policyId: id }, body, version });
    },
  ],
  [
    'removeMaintenancePolicy',
    async () => {
      const { id } = await createPolicy('Brève');
      return ask('removeMaintenancePolicy', { params: { policyId: id } });
    },
  ],
  ['createWindow', () => createWindow('Première')],
  [
    'updateWindow',
    async () => {
      const { id, version } = await createWindow('Deuxième');
      const body = { ...nights, name: 'Deuxième, revue' };
      return ask('updateWindow', { params: { windowId: id }, body, version });
    },
  ],
  [
    'removeWindow',
    async () => {
      const { id, version } = await createWindow('Brève');
      return ask('removeWindow', { params: { windowId: id }, version });
    },
  ],
  ['updateQuarantineRule', () => ask('updateQuarantineRule', { body: { hosts: 3, percent: 30 } })],
  [
    'liftUpdateQuarantine',
    async () => {
      const quarantineId = await quarantined(desk, 'nginx', '1.1');
      return ask('liftUpdateQuarantine', { params: { quarantineId }, body: reason });
    },
  ],
  ['createFreeze', () => createFreeze('Premier gel')],
  [
    'updateFreeze',
    async () => {
      const { id, version } = await createFreeze('Deuxième gel');
      const body = { ...yearEnd, name: 'Deuxième gel, revu' };
      return ask('updateFreeze', { params: { freezeId: id }, body, version });
    },
  ],
  [
    'removeFreeze',
    async () => {
      const { id, version } = await createFreeze('Bref gel');
      return ask('removeFreeze', { params: { freezeId: id }, version });
    },
  ],
  ...feedUses(() => desk),
  [
    'updateNoticeSettings',
    () => ask('updateNoticeSettings', { body: { roles: ['operator'], addresses: [] }, version: 0 }),
  ],
  ['createGroup', () => createGroup('Annuaire')],
  [
    'updateGroup',
    async () => {
      const { id, version, members } = await createGroup('Messagerie');
      const body = groupOf('Messagerie, revue', [members[1]?.hostId ?? '']);
      return ask('updateGroup', { params: { groupId: id }, body, version });
    },
  ],
  [
    'removeGroup',
    async () => {
      const { id, version } = await createGroup('Bref');
      return ask('removeGroup', { params: { groupId: id }, version });
    },
  ],
  ['createHostDependency', () => createDependency()],
  [
    'updateHostDependency',
    async () => {
      const { id, version, dependentHostId, providerHostId } = await createDependency();
      const body = { dependentHostId, providerHostId, kind: 'service_after_provider' };
      return ask('updateHostDependency', { params: { dependencyId: id }, body, version });
    },
  ],
  [
    'removeHostDependency',
    async () => {
      const { id, version } = await createDependency();
      return ask('removeHostDependency', { params: { dependencyId: id }, version });
    },
  ],
  ['verifyAudit', () => ask('verifyAudit')],
  [
    'updateHost',
    async () =>
      ask('updateHost', { params: { hostId: await newHost() }, body: { tags: ['web'] }, version: 1 }),
  ],
  ['scanHost', async () => ask('scanHost', { params: { hostId: await newHost() } })],
  [
    'revokeAgent',
    async () => {
      const [agent] = await desk.query<{ id: string }>('select id from agents where host_id = $1', [
        await newHost(),
      ]);
      return ask('revokeAgent', { params: { agentId: agent?.id ?? '' }, body: reason });
    },
  ],
  ['createEnrolmentToken', () => createEnrolmentToken()],
  [
    'revokeEnrolmentToken',
    async () => {
      const { enrolmentToken } = await createEnrolmentToken();
      return ask('revokeEnrolmentToken', { params: { enrolmentTokenId: enrolmentToken.id } });
    },
  ],
  ['previewPlan', async () => ask('previewPlan', { body: desk.request(policyId, [await newHost()]) })],
  ['createPlan', () => planned()],
  ['postponeRun', async () => ask('postponeRun', { params: await coming(), body: reason })],
  [
    'answerMissedRun',
    async () => {
      const params = await coming();
      await missRun(desk, params.runId);
      return ask('answerMissedRun', { params, body: { answer: 'skip', ...reason } });
    },
  ],
  [
    'writeEmergencyReport',
    async () => {
      const { plan } = await desk.plan(
        'chief',
        desk.request(policyId, [await newHost()], {
          emergency: { reason: 'Faille exploitée' },
          notBefore: new Date(Date.now() + 1_800_000).toISOString(),
        }),
      );
      const params = await approve(desk, plan.id);
      await ask('cancelRun', { params, body: reason });
      await runEnds(desk, params.runId);
      return ask('writeEmergencyReport', { params, body: { text: 'Corrigé dans la nuit.' } });
    },
  ],
  ['createRelease', () => drafted()],
  ['signRelease', () => signed()],
  [
    'refuseRelease',
    async () => {
      const { release } = await drafted();
      return desk.must('alice', 'refuseRelease', { params: { releaseId: release.id }, body: reason });
    },
  ],
  ['pauseRun', () => paused()],
  ['resumeRun', async () => ask('resumeRun', { params: await paused(), body: reason })],
  ['cancelRun', async () => ask('cancelRun', { params: await running(), body: reason })],
  [
    'retryHostRun',
    async () => ask('retryHostRun', { params: { hostRunId: await failedHostRun() }, body: reason }),
  ],
  [
    'acceptHostRun',
    async () => ask('acceptHostRun', { params: { hostRunId: await failedHostRun() }, body: reason }),
  ],
  ['closeLock', async () => desk.must('alice', 'closeLock', { body: await lockBy('alice', 'locked') })],
  [
    'openLock',
    async () => {
      for (const who of ['alice', 'bernard'])
        await desk.must(who, 'openLock', { body: await lockBy(who, 'open') });
    },
  ],
  ['createApproverKey', () => desk.enrolKey('claire')],
  ['draftPolicyDocument', () => ask('draftPolicyDocument', { body: { removeKeyIds: [] } })],
  ['publishPolicyDocument', () => desk.publish('chief')],
  ...agentUses(() => desk),
  // Last: from its approval on, plans leave every update out.
  ...exceptionUses(() => desk),
];

/** Entries of an action in every tenant: a new tenant's first entry is in its own log. */
async function count(action: string): Promise<number> {
  return desk.server.platform.db.inSystem('test.countEntries', async (tx) => {
    const { entries } = await tx
      .selectFrom('audit_entries')
      .select((select) => select.fn.countAll<number>().as('entries'))
      .where('action', '=', action)
      .executeTakeFirstOrThrow();
    return entries;
  });
}

describe('every route that changes something', () => {
  it.each(uses)('%s writes its audit entry', async (name, use) => {
    const { audit } = routes[name] as RouteSpec;
    expect(audit).not.toBeNull();
    const before = await count(audit ?? '');
    await use();
    expect(await count(audit ?? '')).toBeGreaterThan(before);
  });

  it('is used here', () => {
    const mutating = Object.entries(routes as Record<string, RouteSpec>)
      .filter(([, route]) => route.audit !== null)
      .map(([name]) => name);
    expect(uses.map(([name]) => name).sort()).toEqual(mutating.sort());
  });

  it('that reads only names no audit entry', () => {
    const reading = Object.entries(routes as Record<string, RouteSpec>).filter(
      ([, { method }]) => method === 'GET',
    );
    expect(reading.filter(([, { audit }]) => audit !== null).map(([name]) => name)).toEqual([]);
  });
});

describe('an edit', () => {
  it('without the version that was read is refused', async () => {
    await expect(ask('updateTenant', { body: { colour: 'rose' } })).rejects.toThrow(
      /428 .*precondition_required/,
    );
  });

  it('of an old version is refused and changes nothing', async () => {
    await expect(ask('updateTenant', { body: { colour: 'rose' }, version: 1 })).rejects.toThrow(
      /412 .*precondition_failed/,
    );
  });
});
