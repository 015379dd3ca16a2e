import { createHash } from 'node:crypto';
import { permissions } from '#contract/access.ts';
import { auditActions } from '#contract/audit.ts';
import type { AuditEntry } from '#contract/audit.ts';
import { defaultQuarantineRule } from '#contract/quarantine.ts';
import type { RouteName } from '#contract/routes.ts';
import { digestWords } from '#contract/words.ts';
import { agentOf, at, hostDetail, hosts, idOf, sha, sites, tenantId } from './fleetData.ts';
import { buildAsks } from './buildData.ts';
import { endedExceptions, exceptionAlerts, exceptions } from './exceptionData.ts';
import { followUpOf, followUps, noticeSettings, planNotices } from './followUpData.ts';
import { dependencies, groups, relationsOf } from './groupData.ts';
import { metricsOf } from './metricsData.ts';
import { policies } from './policyData.ts';
import { quarantines } from './quarantineData.ts';
import { sshAccesses, sshHostKeys } from './reachData.ts';
import { people, planDetail, plans, preview, releaseDetail, releases, trust } from './releaseData.ts';
import { hostRunDetail, hostRuns, logLines, runDetail, runs } from './runData.ts';
import {
  calendar,
  feeds,
  freezePreview,
  freezes,
  myFeeds,
  occurrences,
  timeline,
  windowPreview,
  windows,
} from './windowData.ts';

export interface MockCall {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}
type Answer = (call: MockCall) => unknown;

/** A client with nothing in it, for the empty states. */
export const emptyTenantId = idOf('tenant', 'empty');
const isEmpty = (call: MockCall): boolean => call.params.tenantId === emptyTenantId;

function page<T>(items: readonly T[], call: MockCall): unknown {
  const all = isEmpty(call) ? [] : items;
  const from = Number(call.query.cursor ?? 0);
  const to = from + Number(call.query.limit ?? 50);
  return { items: all.slice(from, to), nextCursor: to < all.length ? String(to) : null, total: all.length };
}

function listHosts(call: MockCall): unknown {
  const { q, status, site, tag, agentState, sort } = call.query;
  const found = hosts.filter(
    (host) =>
      (q === undefined || host.hostname.includes(q)) &&
      (status === undefined || host.status === status) &&
      (site === undefined || host.siteId === site) &&
      (tag === undefined || host.tags.includes(tag)) &&
      (agentState === undefined || host.agentState === agentState),
  );
  if (sort === '-pendingSecurity')
    found.sort((a, b) => (b.pendingSecurity ?? -1) - (a.pendingSecurity ?? -1));
  return page(found, call);
}

function summary(call: MockCall): unknown {
  const empty = isEmpty(call);
  const byStatus = Object.fromEntries(
    [
      'up_to_date',
      'updates_pending',
      'security_pending',
      'restart_required',
      'in_run',
      'attention',
      'unknown',
    ].map((status) => [status, empty ? 0 : hosts.filter((host) => host.status === status).length]),
  );
  const counts = empty ? [0, 0, 0, 0, 0, 0] : [238, 229, 171, 2, 1, 1];
  const [
    total = 0,
    agentsConnected = 0,
    pendingSecurity = 0,
    releasesToSign = 0,
    activeRuns = 0,
    failedHostRuns24h = 0,
  ] = counts;
  return { total, byStatus, agentsConnected, pendingSecurity, releasesToSign, activeRuns, failedHostRuns24h };
}

const entries: AuditEntry[] = auditActions.map((action, index) => ({
  index: index < 2 ? null : 18_204 - index,
  leaf: {
    v: 1,
    id: idOf('leaf', index),
    tenant: tenantId,
    at: at(-index * 7),
    action,
    actorKind: index % 3 === 0 ? 'system' : index % 3 === 1 ? 'person' : 'agent',
    actorId: null,
    subjectType: 'host',
    subjectId: null,
    outcome: index % 13 === 5 ? 'refused' : index % 17 === 8 ? 'failed' : 'ok',
    digest: index % 4 === 0 ? sha(action) : null,
    details: { runId: idOf('run', 42), updates: 4 },
  },
  actorName: index % 3 === 1 ? 'Camille Durand' : null,
  subjectName: index % 2 === 0 ? (hosts[index]?.hostname ?? null) : null,
}));

/** A log of one entry has its leaf's hash as root: the smallest real proof. */
function proof(call: MockCall): unknown {
  const leaf = JSON.stringify(entries[0]?.leaf);
  const leafHash = createHash('sha256')
    .update(Buffer.concat([Buffer.of(0), Buffer.from(leaf)]))
    .digest();
  const checkpoint = `atlas.simule.example/log/nord\n1\n${leafHash.toString('base64')}\n\n— atlas.simule.example/log/nord c2ltdWxhdGVk\n`;
  return {
    index: Number(call.params.index) > 0 ? 0 : 0,
    leaf,
    leafHash: leafHash.toString('hex'),
    proof: [],
    checkpoint,
  };
}

const memberOf = (person: (typeof people)[number]) => ({
  ...person,
  roles: [...person.roles],
  lastSeenAt: at(-300),
  createdAt: at(-40_000),
  version: 1,
});
const found = (value: unknown): unknown => value;
const membership = (id: string, name: string, colour: string) => ({
  tenantId: id,
  tenantName: name,
  tenantColour: colour,
  roles: ['tenant_admin', 'operator', 'approver'],
  permissions: permissions.filter((permission) => permission !== 'platform.manage'),
});
const tokens = [
  { state: 'open', note: 'dossier-patient-240', usedAt: null, usedByHostId: null },
  { state: 'used', note: 'imagerie-012', usedAt: at(-900), usedByHostId: hosts[12]?.id ?? null },
].map(({ note, usedAt, usedByHostId }, index) => ({
  id: idOf('token', index),
  siteId: sites[0]?.id ?? '',
  siteName: sites[0]?.name ?? '',
  note,
  createdBy: people[0].personId,
  createdAt: at(-1000),
  expiresAt: at(index === 0 ? 48 : -840),
  usedAt,
  usedByHostId,
  revokedAt: null,
}));
const openLock = {
  serial: 4,
  locked: false,
  scope: null,
  since: null,
  byName: null,
  reason: null,
  opening: null,
};
const apiKey = {
  id: idOf('apiKey'),
  name: 'Export vers la supervision',
  scopes: ['fleet.read', 'runs.read'],
  createdBy: people[0].personId,
  createdAt: at(-9000),
  expiresAt: at(90 * 1440),
  lastUsedAt: at(-4),
  revokedAt: null,
};
const root = sha('root');

/** Answers of the mock by route; a route that is not here is refused as not_found, and the screen shows that. */
export const answers: Partial<Record<RouteName, Answer>> = {
  getMe: () => ({
    kind: 'person',
    id: people[0].personId,
    name: people[0].name,
    email: people[0].email,
    locale: 'fr',
    acr: 2,
    platformAdmin: false,
    memberships: [
      membership(tenantId, 'Centre hospitalier du Nord (simulé)', 'teal'),
      membership(emptyTenantId, 'Clinique neuve (simulée)', 'violet'),
    ],
  }),
  createLiveTicket: () => ({ ticket: 'mock', expiresAt: at(1) }),
  listEvents: () => ({ items: [], lastSeq: 0 }),
  listSites: (call) => page(sites, call),
  listMembers: (call) => page(people.map(memberOf), call),
  listApiKeys: (call) => page([apiKey], call),
  getFleetSummary: summary,
  listHosts,
  getHost: ({ params }) => found(hostDetail(params.hostId ?? '')),
  getHostMetrics: ({ query }) => metricsOf(query),
  getHostRelations: ({ params }) => relationsOf(params.hostId ?? ''),
  listGroups: (call) => page(groups, call),
  listHostDependencies: (call) => page(dependencies, call),
  scanHost: () => ({ commandId: idOf('scan') }),
  listAgents: (call) => page(hosts.map(agentOf), call),
  listBuildAsks: (call) =>
    page(
      buildAsks.filter(({ hostId }) => call.query.hostId === undefined || hostId === call.query.hostId),
      call,
    ),
  listSshAccesses: (call) =>
    page(
      sshAccesses.filter(({ hostId }) => call.query.hostId === undefined || hostId === call.query.hostId),
      call,
    ),
  readSshHostKeys: () => ({ keys: sshHostKeys, fault: null, detail: '' }),
  listEnrolmentTokens: (call) => page(tokens, call),
  createEnrolmentToken: () => ({
    enrolmentToken: tokens[0],
    token: 'atlas-enrol-v1.c2ltdWxhdGVk',
    line: 'atlas-agent enrol atlas-enrol-v1.eyJ1cmwiOiJodHRwczovL2F0bGFzLnNpbXVsZS5leGFtcGxlOjg0NDQiLCJzZWNyZXQiOiJzaW11bMOpIn0',
  }),
  listMaintenancePolicies: (call) => page(policies, call),
  listUpdateQuarantines: (call) => page(quarantines, call),
  getQuarantineRule: () => ({ ...defaultQuarantineRule }),
  listExceptions: (call) =>
    page(
      exceptions.filter(({ state }) => call.query.state === undefined || state === call.query.state),
      call,
    ),
  getExceptionAlerts: (call) =>
    isEmpty(call) ? { requested: [], expiringSoon: [], expiredMissing: [], ownerLost: [] } : exceptionAlerts,
  listWindows: (call) => page(windows, call),
  getWindow: ({ params }) => windows.find(({ id }) => id === params.windowId) ?? null,
  getFreeze: ({ params }) => freezes.find(({ id }) => id === params.freezeId) ?? null,
  listWindowOccurrences: ({ params }) => occurrences(params.windowId ?? ''),
  previewWindow: () => windowPreview(),
  listFreezes: (call) => page(freezes, call),
  previewFreeze: () => freezePreview(),
  listCalendarFeeds: (call) => page([...feeds, ...myFeeds], call),
  listMyCalendarFeeds: (call) => page(myFeeds, call),
  createMyCalendarFeed: () => ({
    feed: myFeeds[0],
    url: `https://atlas.simule.example/api/v1/calendar-feeds/${'simule'.repeat(10)}feed`,
  }),
  getCalendar: ({ query }) => calendar(query),
  getTimeline: ({ query }) => timeline(query),
  previewPlan: () => preview(),
  createPlan: () => planDetail(plans[0]?.id ?? ''),
  listPlans: (call) => page(plans, call),
  getPlan: ({ params }) => {
    const detail = planDetail(params.planId ?? '');
    return detail === null ? null : { ...detail, endedExceptions };
  },
  listReleases: (call) => page(releases, call),
  getRelease: ({ params }) => found(releaseDetail(params.releaseId ?? '')),
  listPlanNotices: () => planNotices,
  getNoticeSettings: () => noticeSettings,
  listFollowUps: (call) => (isEmpty(call) ? { missed: [], emergencies: [] } : followUps),
  getRunFollowUp: ({ params }) => followUpOf(params.runId ?? ''),
  getTrust: (call) =>
    isEmpty(call)
      ? {
          epoch: 0,
          document: null,
          documentSha256: null,
          words: [],
          keys: [],
          agentsCurrent: 0,
          agentsTotal: 0,
        }
      : trust,
  getLock: () => openLock,
  listRuns: (call) => page(runs, call),
  getRun: ({ params }) => found(runDetail(params.runId ?? '')),
  getHostRun: ({ params }) => found(hostRunDetail(params.hostRunId ?? '')),
  listHostRunLog: ({ query }) => ({
    items: logLines.filter((line) => line.seq > Number(query.after ?? 0)),
    lastSeq: 60,
  }),
  listHostRuns: (call) => page(hostRuns.slice(0, 2), call),
  listAuditEntries: (call) => page(entries, call),
  getAuditProof: proof,
  getAuditState: () => ({
    origin: 'atlas.simule.example/log/nord',
    size: 18_204,
    unsealed: 2,
    rootSha256: root,
    checkpoint: 'simulated',
    checkpointAt: at(-0.5),
    words: digestWords(root),
    witnesses: hosts.slice(8, 14).map((host, index) => ({
      agentId: idOf('agent', host.id),
      hostname: host.hostname,
      treeSize: 18_204 - index,
      at: at(-1),
      agrees: true,
    })),
    publicKey: 'c2ltdWxhdGVk',
  }),
  verifyAudit: () => ({
    ok: true,
    size: 18_204,
    rootSha256: root,
    steps: ['entries', 'tree', 'tiles', 'witnesses', 'kept'].map((step, index) => ({
      step,
      ok: true,
      detail: `${18_204 - index * 9}`,
      tookMs: 420 + index * 130,
    })),
    firstBad: null,
  }),
};
