import type { ServerFrame } from '#contract/agent-link.ts';
import { toInstant, type Clock } from './platform/clock.ts';
import type { Db } from './platform/db.ts';
import { AppError } from './platform/errors.ts';
import type { Logger } from './platform/log.ts';
import type { Nodes } from './platform/nodes.ts';
import type { AgentsModule } from './features/agents/agents.module.ts';
import type { AuditService } from './features/audit/audit.module.ts';
import type { BuildsModule } from './features/builds/builds.module.ts';
import type { CommandsService } from './features/commands/commands.module.ts';
import type { FleetService } from './features/fleet/fleet.module.ts';
import type { MetricsModule } from './features/metrics/metrics.module.ts';
import type { RunsService } from './features/runs/runs.module.ts';
import type { TrustModule } from './features/trust/trust.module.ts';
import type { AgentIdentity, HelloFrame, HostsHandlers, HostsPort, LaterFrame } from './hosts/port.ts';

type Heartbeat = Extract<LaterFrame, { type: 'heartbeat' }>;

export interface HostsDeps {
  readonly link: Pick<HostsPort, 'send' | 'connectedAgents'>;
  readonly db: Db;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodes: Pick<Nodes, 'tell' | 'hear' | 'missed'>;
  readonly agents: Pick<AgentsModule, 'service'>;
  readonly fleet: Pick<FleetService, 'recordInventory'>;
  readonly trust: TrustModule;
  readonly audit: Pick<AuditService, 'checkpointAfter' | 'witness'>;
  readonly commands: Pick<
    CommandsService,
    'checkpointShown' | 'connected' | 'disconnected' | 'resultsHeld' | 'receiveResults'
  >;
  readonly runs: Pick<RunsService, 'agentConnected' | 'heard' | 'progress' | 'lockChanged'>;
  readonly metrics: Pick<MetricsModule['intake'], 'record'>;
  readonly builds: Pick<BuildsModule['rollout'], 'receive'>;
  readonly resultKeyOf: (tenantId: string, agentId: string) => Promise<Buffer | null>;
  readonly heartbeatS: number;
  /** Seconds between two measurements of a host. */
  readonly measureEveryS: number;
  /** Where agents may connect now. */
  readonly addresses: () => string[];
}

const policiesPerFrame = 20;
/** Alarms of one agent that are written down in this time; more say nothing new. */
const alarmWindowMs = 60_000;
const alarmsPerWindow = 10;
const checkpointLifeMs = 1_000;
const maxCachedCheckpoints = 1_000;

type Growth = Awaited<ReturnType<AuditService['checkpointAfter']>>;

class Handlers implements HostsHandlers {
  readonly #deps: HostsDeps;
  /** Size of the log that each connected agent has seen. */
  readonly #seenSize = new Map<string, number>();
  readonly #alarms = new Map<string, { sinceMs: number; count: number }>();
  readonly #growth = new Map<string, { readonly untilMs: number; readonly found: Promise<Growth> }>();

  constructor(deps: HostsDeps) {
    this.#deps = deps;
  }

  readonly authenticate: HostsHandlers['authenticate'] = (certificate) =>
    this.#deps.agents.service.authenticate(certificate);

  readonly connected: HostsHandlers['connected'] = async (identity, hello) => {
    const { agents, commands, clock, trust, heartbeatS } = this.#deps;
    const { tenantId, agentId } = identity;
    if ((await agents.service.connected(identity, hello)) === 'barred') {
      return [{ type: 'refused', code: 'revoked', detail: 'this agent is not accepted any more' }];
    }
    const open = await commands.connected(identity);
    const resultsHeld = await commands.resultsHeld(tenantId, agentId);
    this.#seenSize.set(agentId, hello.treeSize);
    const checkpoint = await this.#checkpointFrame(identity, hello.treeSize);
    this.#resumeRuns(identity, hello);
    const servers = this.#deps.addresses();
    return [
      {
        type: 'welcome',
        serverTime: toInstant(clock.now()),
        heartbeatS,
        resultsHeld,
        ...(servers.length === 0 ? {} : { servers }),
      },
      ...(await this.#policyFrames(tenantId, hello.policyEpoch)),
      await trust.locks.frame(tenantId),
      ...(checkpoint === null ? [] : [checkpoint]),
      ...open,
      { type: 'measure', everyS: this.#deps.measureEveryS },
    ];
  };

  readonly disconnected: HostsHandlers['disconnected'] = async (identity, reason) => {
    this.#seenSize.delete(identity.agentId);
    this.#deps.commands.disconnected(identity);
    // The connection that replaces this one is already being noted.
    if (reason !== 'replaced') await this.#deps.agents.service.disconnected(identity);
  };

  readonly cloned: HostsHandlers['cloned'] = (identity, evidence) =>
    this.#deps.agents.service.recordClone(identity, { ...evidence });

  readonly frame: HostsHandlers['frame'] = async (identity, frame) => {
    // Whatever an agent says, it is alive.
    this.#deps.runs.heard(identity);
    switch (frame.type) {
      case 'heartbeat':
        return this.#heartbeat(identity, frame);
      case 'results':
        return this.#deps.commands.receiveResults(identity, frame);
      case 'progress':
        this.#deps.runs.progress(identity, frame);
        return;
      case 'inventory':
        return this.#deps.fleet.recordInventory(identity.tenantId, identity.hostId, frame.inventory);
      case 'metrics':
        return this.#deps.metrics.record(identity, frame);
      case 'buildOutcome':
        return this.#deps.builds.receive(identity, frame);
      case 'renew':
        return this.#answer(identity, () => this.#deps.agents.service.renew(identity, frame));
      case 'alarm':
        if (this.#admitAlarm(identity.agentId)) await this.#deps.agents.service.recordAlarm(identity, frame);
    }
  };

  #resumeRuns(identity: AgentIdentity, hello: HelloFrame): void {
    const { log, runs } = this.#deps;
    runs
      .agentConnected(identity, hello.openCommands)
      .catch((error: unknown) =>
        log.warn({ err: error }, 'runs were not told of an agent: the sweep looks again'),
      );
  }

  async #heartbeat(identity: AgentIdentity, heartbeat: Heartbeat): Promise<void> {
    const { agents, link, trust } = this.#deps;
    const { tenantId, agentId } = identity;
    // The answer first: it keeps the agent's view of the lock fresh, whatever becomes of the rest.
    link.send(agentId, await trust.locks.frame(tenantId));
    const witnessed = await this.#witness(identity, heartbeat.cosignature);
    if (witnessed !== null) this.#seenSize.set(agentId, witnessed);
    agents.service.heard(identity, heartbeat, witnessed);
    const checkpoint = await this.#checkpointFrame(identity, this.#seenSize.get(agentId) ?? 0);
    if (checkpoint !== null) link.send(agentId, checkpoint);
  }

  /** Size of the tree that the agent has cosigned, when its signature is good and it saw the log that we have. */
  async #witness(identity: AgentIdentity, cosignature: Heartbeat['cosignature']): Promise<number | null> {
    if (cosignature === null) return null;
    const { audit, resultKeyOf } = this.#deps;
    const { tenantId, agentId } = identity;
    const publicKeySpki = await resultKeyOf(tenantId, agentId);
    if (publicKeySpki === null) return null;
    const { treeSize, rootSha256, signature } = cosignature;
    const verdict = await audit.witness(tenantId, {
      agentId,
      publicKeySpki,
      treeSize,
      rootSha256,
      signature,
    });
    if (verdict !== 'agrees') this.#deps.log.warn({ agentId, tenantId, verdict }, 'a witness does not agree');
    return verdict === 'agrees' ? treeSize : null;
  }

  /** The newest checkpoint for whoever has seen `fromSize` entries. Most agents have seen the same: they share the proof. */
  async #checkpointFrame(
    { tenantId, agentId }: AgentIdentity,
    fromSize: number,
  ): Promise<ServerFrame | null> {
    const nowMs = this.#deps.clock.now();
    const key = `${tenantId} ${fromSize}`;
    let known = this.#growth.get(key);
    if (known === undefined || nowMs >= known.untilMs) {
      if (this.#growth.size >= maxCachedCheckpoints) this.#growth.clear();
      known = {
        untilMs: nowMs + checkpointLifeMs,
        found: this.#deps.audit.checkpointAfter(tenantId, fromSize),
      };
      known.found.catch(() => this.#growth.delete(key));
      this.#growth.set(key, known);
    }
    const growth = await known.found;
    if (growth === null) return null;
    this.#deps.commands.checkpointShown(agentId, growth.size);
    return { type: 'checkpoint', checkpoint: growth.checkpoint, proof: growth.proof };
  }

  async #policyFrames(tenantId: string, afterEpoch: number): Promise<ServerFrame[]> {
    const envelopes = await this.#deps.trust.service.chainAfter(tenantId, afterEpoch);
    const frames: ServerFrame[] = [];
    for (let start = 0; start < envelopes.length; start += policiesPerFrame) {
      frames.push({ type: 'policy', envelopes: envelopes.slice(start, start + policiesPerFrame) });
    }
    return frames;
  }

  /** Sends what `make` gives; an expected refusal is said to the agent instead. */
  async #answer(identity: AgentIdentity, make: () => Promise<ServerFrame>): Promise<void> {
    try {
      this.#deps.link.send(identity.agentId, await make());
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const detail = error.detail ?? error.code;
      this.#deps.link.send(identity.agentId, { type: 'refused', code: error.code, detail });
    }
  }

  #admitAlarm(agentId: string): boolean {
    const nowMs = this.#deps.clock.now();
    const known = this.#alarms.get(agentId);
    const isOld = known === undefined || nowMs - known.sinceMs > alarmWindowMs;
    const count = isOld ? 1 : known.count + 1;
    this.#alarms.set(agentId, { sinceMs: isOld ? nowMs : known.sinceMs, count });
    return count <= alarmsPerWindow;
  }
}

/** What the product does with what agents say: each frame goes to the one feature that owns its matter. */
export function createHostsHandlers(deps: HostsDeps): HostsHandlers {
  return new Handlers(deps);
}

const trustTopics = { policy: 'trust.policy', lock: 'trust.lock' } as const;

/** Tells connected agents of a tenant at once what has changed for them, on whichever node they are. */
export function connectTrust(deps: HostsDeps): void {
  const { db, link, log, nodes, runs, trust } = deps;
  const sendAll = (tenantId: string, frame: ServerFrame): void => {
    for (const agent of link.connectedAgents()) {
      if (agent.tenantId === tenantId) link.send(agent.agentId, frame);
    }
  };
  const unlucky =
    (what: string) =>
    (error: unknown): void =>
      log.warn({ err: error }, what);
  const sendPolicy = async (tenantId: string): Promise<void> => {
    const newest = (await db.inTenant(tenantId, (tx) => trust.service.chain(tx))).at(-1);
    if (newest !== undefined) sendAll(tenantId, { type: 'policy', envelopes: [newest] });
  };
  const spreadPolicy = (tenantId: string): void => {
    sendPolicy(tenantId).catch(unlucky('agents hear of a policy document when they connect again'));
  };
  const spreadLock = (tenantId: string): void => {
    trust.locks
      .frame(tenantId)
      .then((frame) => sendAll(tenantId, frame))
      .catch(unlucky('agents hear of the lock with their next heartbeat'));
  };
  nodes.hear(trustTopics.policy, ({ tenantId }) => spreadPolicy(String(tenantId)));
  nodes.hear(trustTopics.lock, ({ tenantId }) => {
    trust.locks.forget(String(tenantId));
    spreadLock(String(tenantId));
  });
  trust.tell({
    policyPublished: (tenantId) => {
      spreadPolicy(tenantId);
      nodes.tell(trustTopics.policy, { tenantId });
    },
    lockChanged: (tenantId) => {
      spreadLock(tenantId);
      nodes.tell(trustTopics.lock, { tenantId });
      runs.lockChanged(tenantId).catch(unlucky('runs hear of the lock with the next sweep'));
    },
  });
}
