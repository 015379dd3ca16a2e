import path from 'node:path';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import type { LockDocument } from '#contract/trust.ts';
import { digestWords } from '#contract/words.ts';
import { createAccessModule } from './features/access/access.module.ts';
import { createAgentsModule, type AgentsModule } from './features/agents/agents.module.ts';
import { createAuditModule, tellCheckpoints } from './features/audit/audit.module.ts';
import { createBuildsModule, type BuildsModule } from './features/builds/builds.module.ts';
import { checkEvidence, createCommandsModule } from './features/commands/commands.module.ts';
import { createEventsModule } from './features/events/events.module.ts';
import { createExceptionsModule } from './features/exceptions/exceptions.module.ts';
import { createFleetModule, type FleetModule } from './features/fleet/fleet.module.ts';
import { countWork } from './features/fleet/fleet.work.ts';
import { createFollowUpsModule } from './features/followups/followups.module.ts';
import { createGroupsModule } from './features/groups/groups.module.ts';
import { createMetricsModule } from './features/metrics/metrics.module.ts';
import { createNoticesModule } from './features/notices/notices.module.ts';
import { createPlansModule } from './features/plans/plans.module.ts';
import { createPoliciesModule } from './features/policies/policies.module.ts';
import { createReleasesModule } from './features/releases/releases.module.ts';
import { createRunsModule } from './features/runs/runs.module.ts';
import { createQuarantineModule } from './features/quarantine/quarantine.module.ts';
import { runHistory } from './features/runs/runs.history.ts';
import { createTenantsModule } from './features/tenants/tenants.module.ts';
import { createTrustModule } from './features/trust/trust.module.ts';
import { createWindowsModule } from './features/windows/windows.module.ts';
import { createAgentLink, type AgentLink } from './hosts/agent-link/agentLink.ts';
import { createEnrolmentListener } from './hosts/agent-link/enrolmentListener.ts';
import { createCalendars } from './main.calendars.ts';
import { connectTrust, createHostsHandlers } from './main.hosts.ts';
import { connectNodes, tellErrand } from './main.nodes.ts';
import { identityDoors, type IdentityDoors } from './main.identity.ts';
import { createReach } from './main.reach.ts';
import type { Platform } from './main.platform.ts';
import { logOrigin } from './platform/audit/checkpoint.ts';
import type { Authenticate } from './platform/http/caller.ts';
import { realmName, webClientId } from './platform/identity/realm.policy.ts';

export interface Features {
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly authenticate: Authenticate;
  readonly extend: readonly ((app: FastifyInstance) => Promise<void>)[];
  readonly housekeeping: readonly (() => Promise<void>)[];
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

const heartbeatS = 5;

/** Who may act, what tenants there are, which hosts belong together, what is told to screens, what is proved. */
function createGround(platform: Platform, doors: IdentityDoors) {
  const { config, db } = platform;
  const { nodes } = platform;
  const forgetTopic = 'access.forget';
  const access = createAccessModule({
    ...platform,
    ...doors,
    forgotten: () => nodes.tell(forgetTopic, {}),
  });
  nodes.hear(forgetTopic, access.forgetHere);
  const events = createEventsModule({ ...platform, publicUrl: config.publicUrl, belongs: access.belongs });
  const windows = createWindowsModule(platform);
  const tenants = createTenantsModule({
    ...platform,
    siteCreated: (tx, site) => windows.service.siteCreated(tx, site),
    forgetCaller: access.forget,
    version: config.version,
    identity: { url: `${config.publicUrl}/idp`, realm: realmName, clientId: webClientId },
  });
  const audit = createAuditModule({
    db,
    writer: platform.audit,
    sealer: platform.sealer,
    memory: platform.heads,
    publicKeySpki: platform.logKey.publicKeySpki,
    evidence: (tenantId) => checkEvidence(db, tenantId),
    words: digestWords,
  });
  tellCheckpoints({ ...platform, emit: events.emit });
  const trust = createTrustModule({
    ...platform,
    emit: events.emit,
    publicUrl: config.publicUrl,
    auditLog: (tenantId) =>
      Promise.resolve({
        origin: logOrigin(tenantId),
        publicKey: platform.logKey.publicKeySpki.toString('base64url'),
      }),
  });
  const calendars = createCalendars({ ...platform, windows: windows.service, trust: trust.service });
  const groups = createGroupsModule({ ...platform, emit: events.emit });
  const notices = createNoticesModule({ ...platform, emit: events.emit });
  const quarantine = createQuarantineModule(platform);
  const metrics = createMetricsModule({ ...platform, retention: config.measures.retention });
  const exceptions = createExceptionsModule({ ...platform, emit: events.emit });
  return {
    access,
    events,
    calendars,
    windows,
    tenants,
    audit,
    trust,
    groups,
    notices,
    quarantine,
    metrics,
    exceptions,
  };
}

type Ground = ReturnType<typeof createGround>;

/** What is to be done to which hosts, in which order. */
function createPlanning(platform: Platform, ground: Ground, fleet: FleetModule) {
  const { events, groups, trust, windows } = ground;
  const policies = createPoliciesModule(platform);
  const [quarantine, exceptions] = [ground.quarantine.service, ground.exceptions.service];
  const plans = createPlansModule({
    ...platform,
    emit: events.emit,
    policyOf: (tx, policyId) => policies.service.policyOf(tx, policyId),
    candidates: (tx, hostIds) => fleet.service.candidates(tx, hostIds),
    history: runHistory,
    // People's decisions come first: they say more than a count of failures, and outlast it.
    withheld: async (tx, hostIds) => [
      ...(await exceptions.active(tx, hostIds)).map(({ update, hostIds, ...exception }) => ({
        ...{ update, hostIds, exception },
      })),
      ...(await quarantine.active(tx)).map((update) => ({ update, hostIds: null, exception: null })),
    ],
    exceptions,
    relations: (tx) => groups.service.graph(tx),
    times: windows.planTimes,
    trust: trust.service,
  });
  return { policies, plans };
}

/** The agents' listener, with the certificates of the day. */
function createLink({ clock, config, log, metrics }: Platform, agents: AgentsModule): AgentLink {
  const link = createAgentLink({
    ...config.agents,
    clock,
    log,
    heartbeatS,
    tls: async () => ({
      ...(await agents.authorities.serverTls()),
      clientRootsPem: await agents.authorities.clientRootsPem(),
      ticketKeys: await agents.authorities.ticketKeys(),
    }),
  });
  metrics.gauge('atlas_agents_connected', 'Agents connected to this process', link.count);
  metrics.gauge(
    'atlas_agent_handshakes_full',
    'Whole TLS handshakes of agents since the start',
    () => link.handshakes().full,
  );
  metrics.gauge(
    'atlas_agent_handshakes_resumed',
    'TLS sessions that agents resumed since the start',
    () => link.handshakes().resumed,
  );
  return link;
}

/** Hosts, what is planned for them, what people release, what then happens. */
function createWork(platform: Platform, ground: Ground) {
  const { config } = platform;
  const { audit, events, exceptions, groups, notices, quarantine, trust, windows } = ground;
  const emit = events.emit;
  // Names of what is made further down are used only once everything stands.
  const agents = createAgentsModule({
    ...{ ...platform, emit, emitAll: events.emitAll },
    trust: { chain: (tx) => trust.service.chain(tx) },
    fleet: { registerHost: (tx, host) => fleet.service.registerHost(tx, host) },
    enrolUrl: () => config.enrol.url,
    agentsUrl: () => config.agents.url,
    serverNames: [...new Set([...config.agents.names, hostname()])],
    offlineDirectory: path.join(config.dataDirectory, 'offline'),
  });
  const link = createLink(platform, agents);
  const { hosts, reach, visits } = createReach(platform, {
    ...{ emit, link, agents: agents.service },
    trust: { chain: (tx) => trust.service.chain(tx) },
    fleet: { registerHost: (tx, host) => fleet.service.registerHost(tx, host) },
  });
  const commands = createCommandsModule({
    ...platform,
    link: hosts,
    isVisited: visits.knows,
    bundleFor: (tenantId, releaseId, hostId) => releases.bundleFor(tenantId, releaseId, hostId),
    resultKeyOf: (tenantId, agentId) => agents.service.resultKeyOf(tenantId, agentId),
    elsewhere: tellErrand(platform),
  });
  const fleet: FleetModule = createFleetModule({
    ...{ ...platform, emit },
    agents: agents.service,
    submitCommand: (tenantId, command) => commands.service.submitCommand(tenantId, command),
    countWork,
  });
  const runs = createRunsModule({
    ...{ ...platform, emit, commands: commands.service },
    ...{ fleet: fleet.service, groups: groups.service, quarantine: quarantine.service },
    trust: { lockOf: async (tx) => stoppedBy(await trust.service.currentLock(tx)) },
    exceptionsEnded: (tx, planId, atMs) => exceptions.service.endedOfPlan(tx, planId, atMs),
    ended: (tx, runId) => followUps.service.runEnded(tx, runId),
    takeBack: (tx, runId, taken) => notices.service.takeBack(tx, runId, taken),
    frozenAt: (tx, siteIds, atMs) => windows.service.frozenAt(tx, siteIds, atMs),
    seal: (tenantId, entryId) => audit.service.seal(tenantId, entryId),
  });
  const { policies, plans } = createPlanning(platform, ground, fleet);
  const releases = createReleasesModule({
    ...{ ...platform, emit },
    rpId: new URL(config.publicUrl).hostname,
    plans: plans.service,
    trust: trust.service,
    runs: runs.service,
    announce: async (tx, run) => {
      await notices.service.announce(tx, run);
      if (run.emergency !== null) await followUps.service.emergencyReleased(tx, run.runId, run.emergency);
    },
    seal: (tenantId, entryId) => audit.service.seal(tenantId, entryId),
    // The run's own row wakes the engine; a checkpoint is asked for at once, so that it need not wait for the next one.
    approved: platform.sealer.wake,
  });
  const followUps = createFollowUpsModule({
    ...{ ...platform, emit },
    windowOf: (tx, windowId) => windows.service.windows.getIn(tx, windowId),
    plans: plans.service,
    runs: runs.service,
    notices: notices.service,
  });
  return {
    ...{ agents, link, hosts, reach, visits, commands, fleet, runs, policies, plans, releases, followUps },
  };
}

type Work = ReturnType<typeof createWork>;

/** The two listeners for hosts, and what passes between them and the features. */
function createHostsSide(platform: Platform, ground: Ground, work: Work & { builds: BuildsModule }) {
  const { clock, config, log } = platform;
  const { agents, commands, fleet, link, reach, runs, visits } = work;
  const enrolment = createEnrolmentListener({
    ...config.enrol,
    clock,
    log,
    tls: () => agents.authorities.serverTls(),
    enrol: (request) => agents.enrolment.enrol(request),
  });
  const presence = connectNodes({
    ...{ ...platform, agents, commands: commands.service },
    link: { ...link, disconnect: work.hosts.disconnect },
  });
  const deps = {
    ...platform,
    link: work.hosts,
    heartbeatS,
    measureEveryS: config.measures.everyS,
    metrics: ground.metrics.intake,
    builds: work.builds.rollout,
    addresses: presence.addresses,
    agents,
    audit: ground.audit.service,
    commands: commands.service,
    fleet: fleet.service,
    runs: runs.service,
    trust: ground.trust,
    resultKeyOf: (tenantId: string, agentId: string) => agents.service.resultKeyOf(tenantId, agentId),
  };
  connectTrust(deps);
  return {
    start: async () => {
      agents.service.start();
      const handlers = createHostsHandlers(deps);
      await link.start(handlers);
      await enrolment.start();
      await presence.start();
      await visits.start(handlers);
      await reach.service.resume();
    },
    stop: async () => {
      await presence.stop();
      await enrolment.stop();
      await reach.service.stop();
      await visits.stop();
      await link.stop();
      await agents.service.stop();
    },
    renewCertificates: async () => {
      await link.reloadTls();
      await enrolment.reloadTls();
    },
  };
}

/** What the newest lock document stops: the whole tenant, one run, or nothing. */
function stoppedBy(lock: { readonly document: LockDocument } | null): { tenant: boolean; runIds: string[] } {
  if (lock === null || lock.document.state === 'open') return { tenant: false, runIds: [] };
  const { scope } = lock.document;
  return scope.kind === 'tenant' ? { tenant: true, runIds: [] } : { tenant: false, runIds: [scope.runId] };
}

/** Builds every feature and hands each what it needs of the others. */
export function createFeatures(platform: Platform, doors: IdentityDoors = identityDoors(platform)): Features {
  const { config, nodes, outbox, queues } = platform;
  const ground = createGround(platform, doors);
  const work = createWork(platform, ground);
  const builds = createBuildsModule({ ...platform, link: work.hosts, trust: ground.trust.service });
  const hosts = createHostsSide(platform, ground, { ...work, builds });
  const { access, events } = ground;
  const { runs } = work;
  outbox.subscribe(runs.jobs.subscriber(queues));
  const parts = { ...ground, ...work, builds };
  const withRoutes = [
    access,
    events,
    parts.windows,
    parts.calendars,
    parts.tenants,
    parts.audit,
    parts.trust,
    parts.agents,
    parts.fleet,
    parts.metrics,
    parts.reach,
    parts.builds,
    parts.groups,
    parts.notices,
    parts.policies,
    parts.quarantine,
    parts.exceptions,
    parts.plans,
    parts.releases,
    parts.followUps,
    runs,
  ];
  return {
    handlers: Object.assign({}, ...withRoutes.map(({ routes }) => routes)) as Record<string, unknown>,
    authenticate: access.authenticate,
    extend: [access.extend, events.extend],
    housekeeping: [access.removeDeadSessions, events.removeOldEvents, hosts.renewCertificates],
    start: async () => {
      events.start();
      nodes.start();
      if (config.roles.has('agents')) await hosts.start();
      if (!config.roles.has('worker')) return;
      runs.jobs.work(queues);
      runs.jobs.start();
      parts.notices.relay.start();
      parts.followUps.jobs.start();
      parts.metrics.keeper.start();
      parts.builds.jobs.start();
    },
    stop: async () => {
      await parts.notices.relay.stop();
      await parts.followUps.jobs.stop();
      await parts.metrics.keeper.stop();
      await parts.builds.jobs.stop();
      await runs.jobs.stop();
      if (config.roles.has('agents')) await hosts.stop();
      await parts.metrics.intake.stop();
      await work.commands.service.stop();
      events.stop();
    },
  };
}
