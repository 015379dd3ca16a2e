import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import type { AgentSummary } from '#contract/fleet.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { createGather } from '../../platform/gather.ts';
import { actorOf, type Actor } from '../../platform/http/caller.ts';
import type { AgentsDeps, LinkControl } from './agents.deps.ts';
import { judgeCertificate } from './agents.policy.ts';
import * as repository from './agents.repository.ts';
import { issueAgentCertificate, readSigningRequest } from './authorities.ts';
import type { AuthorityService } from './authority.service.ts';

/** An agent, as its certificate proves. */
export interface AgentIdentity {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
  readonly generation: number;
}

/** What a client certificate says, and its fingerprint. */
export interface PresentedCertificate {
  readonly sha256: Buffer;
  readonly serial: string;
  readonly tenantId: string;
  readonly agentId: string;
}

type Hello = Extract<AgentFrame, { type: 'hello' }>;
type Heartbeat = Extract<AgentFrame, { type: 'heartbeat' }>;
type Renew = Extract<AgentFrame, { type: 'renew' }>;

const livenessEveryMs = 5_000;
/** A refused agent comes back for ever: one entry an agent in this time is enough. */
const refusalEntryEveryMs = 600_000;
const maxRememberedRefusals = 10_000;

/** Knows which agents there are, recognises them, and keeps what is known about their being there. */
export class AgentsService {
  readonly #deps: AgentsDeps;
  readonly #authorities: AuthorityService;
  readonly #control: () => LinkControl;
  readonly #heard = new Map<string, repository.Liveness>();
  /** When each agent that is connected here was noted, as the database says it: what fences the end of the connection. */
  readonly #connectedAt = new Map<string, string>();
  readonly #refusedAtMs = new Map<string, number>();
  // A whole fleet may come back within a minute: what each of its connections asks and writes is shared.
  readonly #recognise: (sha256: Buffer) => Promise<repository.KnownCertificate | null>;
  readonly #note: (connected: repository.Connected) => Promise<string | null>;
  readonly #end: (ended: repository.Ended) => Promise<void>;
  readonly #resultKey: (agent: { tenantId: string; agentId: string }) => Promise<Buffer | null>;
  #flushing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: AgentsDeps, authorities: AuthorityService, control: () => LinkControl) {
    this.#deps = deps;
    this.#authorities = authorities;
    this.#control = control;
    const { clock, db } = deps;
    this.#recognise = createGather({
      clock,
      answer: (asked) => db.inSystem('agents.recognise', (tx) => repository.findCertificates(tx, asked)),
    });
    this.#resultKey = createGather({
      clock,
      answer: (asked) => db.inSystem('agents.readKeys', (tx) => repository.resultKeysOf(tx, asked)),
    });
    this.#note = createGather({ clock, answer: (connected) => this.#noteAll(connected) });
    this.#end = createGather({ clock, answer: (ended) => this.#endAll(ended) });
  }

  /** One agent. Throws not_found. */
  get(tx: TenantTx, agentId: string): Promise<AgentSummary> {
    return repository.getAgent(tx, agentId);
  }

  /** SubjectPublicKeyInfo of the key with which a live agent signs results; null when there is no such agent. */
  resultKeyOf(tenantId: string, agentId: string): Promise<Buffer | null> {
    return this.#resultKey({ tenantId, agentId });
  }

  /** Makes the agent of a host that SSH has adopted: it has no certificate. One that the host had before is revoked. */
  async adopt(
    tx: TenantTx,
    agent: {
      readonly agentId: string;
      readonly hostId: string;
      readonly resultPublicKey: Buffer;
      readonly version: string;
    },
  ): Promise<void> {
    const { agentId: id, hostId, resultPublicKey, version } = agent;
    const replaced = await repository.revokeOfHost(tx, hostId, 'adopted over SSH');
    await repository.insertAgent(tx, { id, hostId, resultPublicKey, version, reach: 'ssh' });
    this.#deps.db.afterCommit(tx, () => {
      for (const former of replaced) this.#control().disconnect(former, 'replaced');
    });
  }

  /** Notes which way an agent is reached from now on. */
  setReach(tx: TenantTx, agentId: string, reach: 'agent' | 'ssh'): Promise<void> {
    return repository.setReach(tx, agentId, reach);
  }

  /** The live agent of a host, or null. */
  liveOf(tx: TenantTx, hostId: string): Promise<string | null> {
    return repository.liveAgentOf(tx, hostId);
  }

  /** An agent as a visit needs it; null when it is revoked or suspected. */
  async identityOf(tenantId: string, agentId: string, hostId: string): Promise<AgentIdentity | null> {
    const generation = await this.#deps.db.inTenant(tenantId, (tx) => repository.generationOf(tx, agentId));
    return generation === null ? null : { tenantId, agentId, hostId, generation };
  }

  /** Starts writing heartbeats down, all of them together every five seconds. */
  start(): void {
    this.#timer = setInterval(() => void this.flushLiveness(), livenessEveryMs);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flushLiveness();
  }

  /** The agent of a certificate, or null: unknown, of another tenant, revoked, expired, or a copy. */
  async authenticate(certificate: PresentedCertificate): Promise<AgentIdentity | null> {
    const known = await this.#recognise(certificate.sha256);
    if (known?.tenantId !== certificate.tenantId || known.agentId !== certificate.agentId) {
      // The tenant's authority vouches for a certificate that we have not made: its key may be in other hands.
      await this.#refuse(certificate, 'certificate_unknown');
      return null;
    }
    if (known.isVisited) {
      await this.#refuse(certificate, 'reached_over_ssh');
      return null;
    }
    const { tenantId, agentId, hostId, facts } = known;
    const verdict = judgeCertificate(facts, this.#deps.clock.now());
    const identity = { tenantId, agentId, hostId, generation: facts.generation };
    if (verdict === 'accepted') return identity;
    if (verdict === 'first_use') {
      const { sha256 } = certificate;
      const { generation } = facts;
      await this.#deps.db.inTenant(tenantId, (tx) =>
        repository.recordFirstUse(tx, { sha256, agentId, generation }),
      );
      return identity;
    }
    if (verdict === 'clone') {
      const evidence = { serial: certificate.serial, generation: facts.generation };
      await this.recordClone(identity, { ...evidence, newestGeneration: facts.agentGeneration });
    } else {
      await this.#refuse(certificate, `certificate_${verdict}`);
    }
    return null;
  }

  /** Notes a connection; null when the agent must not stay. */
  async connected(identity: AgentIdentity, hello: Hello): Promise<'welcome' | 'barred'> {
    const { agentId, hostId, tenantId } = identity;
    const { bootId, bootedAt, agentVersion: version, policyEpoch, lockSerial } = hello;
    const who = { tenantId, agentId, hostId };
    const connectedAt = await this.#note({ ...who, bootId, bootedAt, version, policyEpoch, lockSerial });
    if (connectedAt === null) return 'barred';
    this.#connectedAt.set(agentId, connectedAt);
    this.#control().connected(agentId, bootId);
    return 'welcome';
  }

  /** Notes the end of a connection, unless another one has replaced it, here or on another node. */
  async disconnected(identity: AgentIdentity): Promise<void> {
    const { agentId, hostId, tenantId } = identity;
    const connectedAt = this.#connectedAt.get(agentId);
    if (connectedAt === undefined) return;
    this.#connectedAt.delete(agentId);
    await this.#end({ tenantId, agentId, hostId, connectedAt });
  }

  /** Remembers a heartbeat until the next flush. `witnessedTreeSize`: size of a checkpoint whose cosignature was verified. */
  heard(identity: AgentIdentity, heartbeat: Heartbeat, witnessedTreeSize: number | null): void {
    const { agentId } = identity;
    const { guardArmedUntil, policyEpoch = null } = heartbeat;
    // Several heartbeats may come before one is written down.
    const before = this.#heard.get(agentId)?.witnessedTreeSize ?? null;
    const atMs = this.#deps.clock.now();
    const seen = witnessedTreeSize ?? before;
    this.#heard.set(agentId, { agentId, atMs, guardArmedUntil, policyEpoch, witnessedTreeSize: seen });
  }

  /** Writes the remembered heartbeats and cuts off agents that were barred meanwhile, whoever barred them. */
  flushLiveness(): Promise<void> {
    this.#flushing = this.#flushing.then(async () => {
      const heard = [...this.#heard.values()];
      if (heard.length === 0) return;
      this.#heard.clear();
      try {
        const barred = await this.#deps.db.inSystem('agents.recordLiveness', (tx) =>
          repository.recordLiveness(tx, heard),
        );
        for (const agentId of barred) this.#control().disconnect(agentId, 'revoked');
      } catch (error) {
        this.#deps.log.warn({ err: error }, 'heartbeats could not be written; the next ones will be');
      }
    });
    return this.#flushing;
  }

  /** Issues the next certificate of an agent. Errors: invalid_request, transition_refused. */
  async renew(identity: AgentIdentity, request: Renew): Promise<ServerFrame> {
    const { tenantId, agentId, hostId } = identity;
    const generation = identity.generation + 1;
    if (request.generation !== generation) {
      throw new AppError('transition_refused', {
        detail: `the next certificate has the number ${generation}`,
      });
    }
    const publicKey = await readSigningRequest(request.csrPem);
    const certificate = await issueAgentCertificate(
      await this.#authorities.issuing(tenantId),
      { tenantId, agentId, generation, publicKey },
      this.#deps.clock.now(),
    );
    await this.#deps.db.inTenant(tenantId, async (tx) => {
      await repository.insertCertificate(tx, { agentId, generation }, certificate);
      await this.#deps.audit.record(tx, {
        action: 'agent.certificate_renewed',
        actorKind: 'agent',
        actorId: agentId,
        subjectType: 'host',
        subjectId: hostId,
        outcome: 'ok',
        digest: certificate.sha256.toString('hex'),
        details: { generation, serial: certificate.serial },
      });
    });
    return { type: 'certificate', chainPem: certificate.chainPem };
  }

  /** Marks an agent as copied and ends its connections; a person has to enrol the host again. */
  async recordClone(identity: AgentIdentity, evidence: Record<string, unknown>): Promise<void> {
    const { tenantId, agentId, hostId } = identity;
    await this.#deps.db.inTenant(tenantId, async (tx) => {
      if (!(await repository.recordClone(tx, agentId, evidence))) return;
      await this.#deps.audit.record(tx, {
        action: 'agent.clone_detected',
        actorKind: 'system',
        actorId: null,
        subjectType: 'agent',
        subjectId: agentId,
        outcome: 'refused',
        digest: null,
        details: { hostId, ...evidence },
      });
      await this.#changed(tx, { agentId, hostId, state: 'clone_suspected' });
    });
    this.#control().disconnect(agentId, 'clone_suspected');
  }

  /** An alarm that the agent raises, for people and for the log. */
  async recordAlarm(
    identity: AgentIdentity,
    alarm: { code: string; detail: string; at: string },
  ): Promise<void> {
    const { tenantId, agentId, hostId } = identity;
    await this.#deps.db.inTenant(tenantId, (tx) =>
      this.#deps.audit.record(tx, {
        action: 'agent.alarm',
        actorKind: 'agent',
        actorId: agentId,
        subjectType: 'host',
        subjectId: hostId,
        outcome: 'failed',
        digest: null,
        details: { code: alarm.code, detail: alarm.detail, at: alarm.at },
      }),
    );
  }

  /** Refuses an agent from now on. Errors: not_found, transition_refused when it is already revoked. */
  async revoke(
    tenantId: string,
    actor: Actor,
    target: { agentId: string; reason: string },
  ): Promise<AgentSummary> {
    const { agentId, reason } = target;
    const summary = await this.#deps.db.inTenant(tenantId, async (tx) => {
      await repository.getAgent(tx, agentId);
      const hostId = await repository.revokeAgent(tx, agentId, reason);
      if (hostId === null)
        throw new AppError('transition_refused', { detail: 'the agent is already revoked' });
      await this.#deps.audit.record(tx, {
        action: 'agent.revoked',
        ...actorOf(actor),
        subjectType: 'agent',
        subjectId: agentId,
        outcome: 'ok',
        digest: null,
        details: { hostId, reason },
      });
      await this.#changed(tx, { agentId, hostId, state: 'revoked' });
      return repository.getAgent(tx, agentId);
    });
    this.#control().disconnect(agentId, 'revoked');
    return summary;
  }

  /** Notes connections, and says so to screens. The instant of each, or null, in the order given. */
  async #noteAll(connected: readonly repository.Connected[]): Promise<(string | null)[]> {
    const { db, emitAll } = this.#deps;
    // Of two connections of one agent the last one counts; the other has been cut off already.
    const last = [...new Map(connected.map((one) => [one.agentId, one])).values()];
    const noted = await db.inSystem('agents.noteConnections', async (tx) => {
      const instants = await repository.recordConnected(tx, last);
      const there = last.filter(({ agentId }) => instants.has(agentId));
      await emitAll(tx, allEvents(there, 'connected'));
      return instants;
    });
    return connected.map(({ agentId }) => noted.get(agentId) ?? null);
  }

  /** Notes ends of connections, and says so to screens. */
  async #endAll(ended: readonly repository.Ended[]): Promise<undefined[]> {
    const { db, emitAll } = this.#deps;
    await db.inSystem('agents.noteEnds', async (tx) => {
      const gone = await repository.recordDisconnected(tx, ended);
      const silent = ended.filter(({ agentId }) => gone.has(agentId));
      await emitAll(tx, allEvents(silent, 'silent'));
    });
    return ended.map(() => undefined);
  }

  async #changed(tx: TenantTx, change: { agentId: string; hostId: string; state: string }): Promise<void> {
    for (const event of eventsOf(change)) await this.#deps.emit(tx, event);
  }

  async #refuse(certificate: PresentedCertificate, code: string): Promise<void> {
    const nowMs = this.#deps.clock.now();
    const key = `${certificate.agentId} ${code}`;
    if (nowMs - (this.#refusedAtMs.get(key) ?? -Infinity) < refusalEntryEveryMs) return;
    if (this.#refusedAtMs.size >= maxRememberedRefusals) this.#refusedAtMs.clear();
    this.#refusedAtMs.set(key, nowMs);
    await this.#deps.db.inTenant(certificate.tenantId, (tx) =>
      this.#deps.audit.record(tx, {
        action: 'agent.refused',
        actorKind: 'anonymous',
        actorId: null,
        subjectType: 'agent',
        subjectId: certificate.agentId,
        outcome: 'refused',
        digest: certificate.sha256.toString('hex'),
        details: { code, serial: certificate.serial },
      }),
    );
  }
}

/** What screens are told when an agent comes, goes or is barred. */
function eventsOf({ agentId, hostId, state }: { agentId: string; hostId: string; state: string }) {
  return [
    { type: 'agent.changed', subjectId: agentId, data: { hostId, state } },
    { type: 'host.changed', subjectId: hostId, data: { agentState: state } },
  ] as const;
}

function allEvents(
  agents: readonly { readonly tenantId: string; readonly agentId: string; readonly hostId: string }[],
  state: string,
) {
  return agents.flatMap(({ tenantId, agentId, hostId }) =>
    eventsOf({ agentId, hostId, state }).map((event) => ({ ...event, tenantId })),
  );
}
