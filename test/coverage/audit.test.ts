import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RouteSpec } from '#contract/route.ts';
import { routes, type RouteName } from '#contract/routes.ts';
import { startPeopleServer, type PeopleServer } from '../harness/people-server.ts';

interface Answer {
  readonly id?: string;
  readonly version?: number;
  readonly personId?: string;
  readonly member?: { readonly personId: string; readonly version: number };
  readonly apiKey?: { readonly id: string };
  readonly enrolmentToken?: { readonly id: string };
}

let server: PeopleServer;
let tenantId: string;
let siteId: string;
let member: NonNullable<Answer['member']>;

beforeAll(async () => {
  server = await startPeopleServer();
  ({ tenantId, siteId } = await server.tenant('journal'));
  await server.member(tenantId, 'chief', [
    'platform_admin',
    'tenant_admin',
    'operator',
    'approver',
    'auditor',
  ]);
});

afterAll(async () => {
  await server.stop();
});

interface Ask {
  readonly params?: Record<string, string>;
  readonly body?: unknown;
  readonly version?: number;
}

async function ask(name: RouteName, { params = {}, body, version }: Ask = {}): Promise<Answer> {
  const route: RouteSpec = routes[name];
  const url = route.path.replace(/:(\w+)/g, (_all, key: string) => params[key] ?? tenantId);
  const answer = await server.app.inject({
    method: route.method,
    url,
    headers: {
      ...(await server.bearer('chief', 3)),
      ...(version === undefined ? {} : { 'if-match': `"${version}"` }),
    },
    ...(body === undefined ? {} : { payload: body as Record<string, unknown> }),
  });
  if (answer.statusCode >= 300) throw new Error(`${name}: ${answer.statusCode} ${answer.body}`);
  return answer.body === '' ? {} : answer.json<Answer>();
}

const policy = {
  name: 'Mensuelle',
  updates: { select: 'security', excludePackages: [] },
  guard: { mode: 'required', minFreeGiB: 1, keepHours: 24 },
  restart: 'if_required',
  health: { checks: [], withinS: 60 },
  waves: { firstSize: 1, size: 10, pauseS: 0, failureThresholdPercent: 20 },
  commitConfirm: { confirmWithinS: 120, silentS: 60 },
};

/** One real use of each route, in an order in which each has what it needs. */
const uses: readonly [RouteName, () => Promise<unknown>][] = [
  ['createLiveTicket', () => ask('createLiveTicket')],
  ['createTenant', () => ask('createTenant', { body: { name: 'Autre', slug: 'autre' } })],
  ['updateTenant', () => ask('updateTenant', { body: { colour: 'teal' }, version: 1 })],
  ['createSite', () => ask('createSite', { body: { name: 'Annexe', timeZone: 'Europe/Paris' } })],
  ['updateSite', () => ask('updateSite', { params: { siteId }, body: { name: 'Siège social' }, version: 1 })],
  [
    'createMember',
    async () => {
      const body = {
        username: 'nouveau',
        name: 'Nouveau',
        email: 'nouveau@example.test',
        roles: ['auditor'],
      };
      const made = await ask('createMember', { body });
      if (made.member === undefined) throw new Error('no member in the answer');
      member = made.member;
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
  [
    'createApiKey',
    () => ask('createApiKey', { body: { name: 'relevés', scopes: ['fleet.read'], expiresInDays: 1 } }),
  ],
  [
    'revokeApiKey',
    async () => {
      const { apiKey } = await ask('createApiKey', {
        body: { name: 'brève', scopes: ['fleet.read'], expiresInDays: 1 },
      });
      return ask('revokeApiKey', { params: { apiKeyId: apiKey?.id ?? '' } });
    },
  ],
  ['createMaintenancePolicy', () => ask('createMaintenancePolicy', { body: policy })],
  [
    'updateMaintenancePolicy',
    async () => {
      const { id, version } = await ask('createMaintenancePolicy', { body: { ...policy, name: 'Autre' } });
      return ask('updateMaintenancePolicy', {
        params: { policyId: id ?? '' },
        body: { ...policy, name: 'Autre encore' },
        version: version ?? 0,
      });
    },
  ],
  [
    'removeMaintenancePolicy',
    async () => {
      const { id } = await ask('createMaintenancePolicy', { body: { ...policy, name: 'Brève' } });
      return ask('removeMaintenancePolicy', { params: { policyId: id ?? '' } });
    },
  ],
  ['verifyAudit', () => ask('verifyAudit')],
];

/**
 * Routes that need a host, an agent or signatures: their entries are asserted where those exist
 * (test/integration and test/lab). This list only shrinks.
 */
const elsewhere: readonly RouteName[] = [
  'updateHost',
  'scanHost',
  'revokeAgent',
  'createEnrolmentToken',
  'revokeEnrolmentToken',
  'previewPlan',
  'createPlan',
  'createRelease',
  'signRelease',
  'refuseRelease',
  'createApproverKey',
  'draftPolicyDocument',
  'publishPolicyDocument',
  'closeLock',
  'openLock',
  'pauseRun',
  'resumeRun',
  'cancelRun',
  'retryHostRun',
];

/** Entries of an action in every tenant: a new tenant's first entry is in its own log. */
async function count(action: string): Promise<number> {
  return server.platform.db.inSystem('test.countEntries', async (tx) => {
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

  it('is used here, or is known to be proved elsewhere', () => {
    const mutating = Object.entries(routes as Record<string, RouteSpec>)
      .filter(([, route]) => route.audit !== null)
      .map(([name]) => name);
    expect([...uses.map(([name]) => name), ...elsewhere].sort()).toEqual(mutating.sort());
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
