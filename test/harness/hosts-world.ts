import { generateKeyPairSync, randomBytes, randomUUID, sign, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import type { Envelope } from '#contract/dsse.ts';
import { digestWords } from '#contract/words.ts';
import { createAgentsModule } from '../../server/src/features/agents/agents.module.ts';
import { createAuditModule } from '../../server/src/features/audit/audit.module.ts';
import { createBuildsModule } from '../../server/src/features/builds/builds.module.ts';
import { checkEvidence } from '../../server/src/features/commands/commands.module.ts';
import { createFleetModule, type FleetModule } from '../../server/src/features/fleet/fleet.module.ts';
import { createMetricsModule } from '../../server/src/features/metrics/metrics.module.ts';
import { createTrustModule } from '../../server/src/features/trust/trust.module.ts';
import { createAgentLink } from '../../server/src/hosts/agent-link/agentLink.ts';
import { createEnrolmentListener } from '../../server/src/hosts/agent-link/enrolmentListener.ts';
import { connectTrust, createHostsHandlers, type HostsDeps } from '../../server/src/main.hosts.ts';
import { logOrigin } from '../../server/src/platform/audit/checkpoint.ts';
import { createHeadMemory } from '../../server/src/platform/audit/headMemory.ts';
import { systemClock, type Clock } from '../../server/src/platform/clock.ts';
import type { Db } from '../../server/src/platform/db.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { createSecretStore } from '../../server/src/platform/secrets.ts';
import { newLogKey, startAuditProcess } from './auditLog.ts';
import { createTestDatabase } from './database.ts';
import { pae } from './software-key.ts';

export const publicUrl = 'https://atlas.example.org:8443';

/** A root key of the customer. */
export interface RootKey {
  readonly keyId: string;
  readonly publicKey: string;
  readonly privateKey: KeyObject;
}

export function newRootKey(): RootKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('base64url');
  return { keyId: spki.slice(-16), publicKey: spki, privateKey };
}

/** Signs a drafted document with root keys. */
export function signRoots(
  draft: Pick<Envelope, 'payloadType' | 'payload'>,
  keys: readonly RootKey[],
): Envelope {
  const { payloadType, payload } = draft;
  const message = pae(payloadType, Buffer.from(payload, 'base64url'));
  const signatures = keys.map(({ keyId, privateKey }) => ({
    kind: 'ed25519' as const,
    keyid: keyId,
    signature: sign(null, message, privateKey).toString('base64url'),
  }));
  return { payloadType, payload, signatures };
}

export const admin = { kind: 'person', id: randomUUID() } as const;

/** A clock that tests set ahead. */
function createClock(): Clock & { ahead: (ms: number) => void } {
  let offsetMs = 0;
  return {
    ...systemClock,
    now: () => Date.now() + offsetMs,
    ahead: (ms) => {
      offsetMs = ms;
    },
  };
}

/** The server's side of hosts on a real database, real TLS listeners and a real audit log; no people's API, no engine. */
export async function startHostsWorld(
  options: { readonly heartbeatS?: number; readonly maxWaitingSamples?: number } = {},
) {
  const heartbeatS = options.heartbeatS ?? 10;
  const folder = await mkdtemp(path.join(tmpdir(), 'atlas-hosts-'));
  const database = await createTestDatabase();
  const clock = createClock();
  const log = createLogger({ level: 'silent', role: 'test' });
  const key = newLogKey();
  const running = await startAuditProcess(database, { key, memoryDirectory: folder });
  const { db, writer: audit } = running;
  const events: { type: string; subjectId: string | null; data: Record<string, unknown> }[] = [];
  const emit = (_tx: unknown, event: (typeof events)[number]): Promise<void> => {
    events.push(event);
    return Promise.resolve();
  };
  const base = { db, audit, clock, newId, log, emit };
  const trustDeps = {
    ...base,
    publicUrl,
    auditLog: (tenantId: string) =>
      Promise.resolve({ origin: logOrigin(tenantId), publicKey: key.publicKeySpki.toString('base64url') }),
  };
  const trust = createTrustModule(trustDeps);
  const agents = createAgentsModule({
    ...base,
    emitAll: async (tx, all) => {
      for (const event of all) await emit(tx, { ...event });
    },
    secrets: createSecretStore(db, randomBytes(32)),
    trust: { chain: (tx) => trust.service.chain(tx) },
    fleet: { registerHost: (tx, host) => fleet.service.registerHost(tx, host) },
    enrolUrl: () => `https://localhost:${enrolment.port()}/enrol`,
    agentsUrl: () => `wss://localhost:${link.port()}/link`,
    serverNames: ['localhost', '127.0.0.1'],
    offlineDirectory: path.join(folder, 'offline'),
  });
  const fleet: FleetModule = createFleetModule({
    ...base,
    agents: agents.service,
    submitCommand: () => Promise.resolve({ commandId: newId() }),
    countWork: () => Promise.resolve({ releasesToSign: 0, activeRuns: 0, failedHostRuns24h: 0 }),
  });
  const link = createAgentLink({
    host: '127.0.0.1',
    port: 0,
    clock,
    log,
    heartbeatS,
    tls: async () => ({
      ...(await agents.authorities.serverTls()),
      clientRootsPem: await agents.authorities.clientRootsPem(),
      ticketKeys: await agents.authorities.ticketKeys(),
    }),
  });
  const enrolment = createEnrolmentListener({
    host: '127.0.0.1',
    port: 0,
    clock,
    log,
    burstPerAddress: 100,
    tls: () => agents.authorities.serverTls(),
    enrol: (request) => agents.enrolment.enrol(request),
  });
  const { service: auditService } = createAuditModule({
    db,
    writer: audit,
    sealer: running.sealer,
    memory: createHeadMemory(folder, () => undefined),
    publicKeySpki: key.publicKeySpki,
    evidence: (tenantId) => checkEvidence(db, tenantId),
    words: digestWords,
  });
  agents.controlLink({
    connected: () => undefined,
    disconnect: link.disconnect,
    authoritiesChanged: link.reloadTls,
  });
  const metrics = createMetricsModule({
    ...base,
    metrics: { gauge: () => undefined },
    retention: { samples: 2, hours: 90, days: 1826 },
    ...(options.maxWaitingSamples === undefined ? {} : { maxWaiting: options.maxWaitingSamples }),
  });
  const nodes = { tell: () => undefined, hear: () => undefined, missed: () => undefined };
  const builds = createBuildsModule({ ...base, link, nodes, trust: trust.service });
  const deps = {
    ...base,
    builds: builds.rollout,
    link,
    heartbeatS,
    measureEveryS: 60,
    metrics: metrics.intake,
    addresses: () => [],
    nodes,
    agents,
    fleet: fleet.service,
    trust,
    audit: auditService,
    commands: silentCommands,
    runs: silentRuns,
    resultKeyOf: (tenantId: string, agentId: string) => agents.service.resultKeyOf(tenantId, agentId),
  };
  connectTrust(deps);
  await link.start(createHostsHandlers(deps));
  await enrolment.start();

  return {
    db,
    database,
    clock,
    events,
    trust,
    trustDeps,
    agents,
    fleet,
    metrics,
    builds,
    link,
    enrolment,
    offlineDirectory: path.join(folder, 'offline'),
    auditService,
    createTenant: () => createTenant(db),
    /** Audited actions of a tenant, oldest first. */
    audited: async (tenantId: string): Promise<string[]> => {
      const { rows } = await db.inTenant(tenantId, (tx) =>
        sql<{ action: string }>`select action from audit_entries order by at, entry_id`.execute(tx),
      );
      return rows.map(({ action }) => action);
    },
    stop: async () => {
      await enrolment.stop();
      await link.stop();
      await metrics.intake.stop();
      await agents.service.flushLiveness();
      await running.stop();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export type HostsWorld = Awaited<ReturnType<typeof startHostsWorld>>;

/** Commands and runs have suites of their own; here nothing is ordered. */
const silentCommands: HostsDeps['commands'] = {
  checkpointShown: () => undefined,
  connected: () => Promise.resolve([]),
  disconnected: () => undefined,
  resultsHeld: () => Promise.resolve(0),
  receiveResults: () => Promise.resolve(),
};
const silentRuns: HostsDeps['runs'] = {
  agentConnected: () => Promise.resolve(),
  heard: () => undefined,
  progress: () => undefined,
  lockChanged: () => Promise.resolve(),
};

async function createTenant(db: Db): Promise<{ tenantId: string; siteId: string }> {
  const [tenantId, siteId] = [newId(), newId()];
  await db.inSystem('tests.tenant', async (tx) => {
    await tx
      .insertInto('tenants')
      .values({ id: tenantId, name: 'Clinique', slug: `c${tenantId.slice(-12)}` })
      .execute();
    const site = { id: siteId, tenant_id: tenantId, name: 'Rouen', time_zone: 'Europe/Paris' };
    await tx.insertInto('sites').values(site).execute();
  });
  return { tenantId, siteId };
}

/** Publishes the first policy document of a tenant under fresh root keys. */
export async function publishFirstPolicy(
  world: Pick<HostsWorld, 'trust'>,
  tenantId: string,
  roots: { readonly keys: readonly RootKey[]; readonly threshold: number } = {
    keys: [newRootKey()],
    threshold: 1,
  },
): Promise<void> {
  const rootKeys = roots.keys.map(({ keyId, publicKey }) => ({ keyId, publicKey }));
  const wish = { removeKeyIds: [], rootKeys, rootThreshold: roots.threshold };
  const draft = await world.trust.service.draft(tenantId, admin, wish);
  await world.trust.service.publish(tenantId, admin, signRoots(draft, roots.keys));
}
