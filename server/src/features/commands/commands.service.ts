import type { KeyObject } from 'node:crypto';
import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import type { CommandResult } from '#contract/results.ts';
import { verbCatalogue, type Verb } from '#contract/verbs.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError, invariant } from '../../platform/errors.ts';
import { createGather } from '../../platform/gather.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import type { ReleaseBundle } from '#contract/trust.ts';
import { Acknowledgements } from './commands.acknowledgements.ts';
import { Dispatch, type CommandsLink } from './commands.dispatch.ts';
import * as repository from './commands.repository.ts';
import type { OrderDraft, OrderRow, StoredResult } from './commands.repository.ts';
import type { Principal } from './commands.entries.ts';
import { ResultRefused, resultKey, verifyResults, type VerifiedBatch } from './commands.results.ts';
import { Sequencer } from './commands.sequencer.ts';

/** What the commands feature needs of the others; main.ts hands it over. */
export interface CommandsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  readonly link: CommandsLink & {
    readonly disconnect: (agentId: string, code: string, retryAfterMs?: number) => void;
  };
  readonly bundleFor: (tenantId: string, releaseId: string, hostId: string) => Promise<ReleaseBundle>;
  /** SubjectPublicKeyInfo of the key with which the agent signs results; null when there is no such live agent. */
  readonly resultKeyOf: (tenantId: string, agentId: string) => Promise<Buffer | null>;
  /** True for a host that SSH drives. */
  readonly isVisited?: (agentId: string) => boolean;
  readonly maxWaiting?: number;
  /** Called with what is durable and could not be handed over here: the agent may be connected to another node. */
  readonly elsewhere?: (errand: Errand) => void;
}

/** What waits for an agent: one order, or its unanswered readings. */
export interface Errand {
  readonly tenantId: string;
  readonly agentId: string;
  readonly commandId: string | null;
}

interface AgentRef {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
}

type ResultsListener = (tenantId: string, hostRunIds: readonly string[]) => void;
type ResultsFrame = Extract<AgentFrame, { type: 'results' }>;

/** What is known of an agent while it is connected. */
interface Session {
  readonly key: KeyObject;
  held: number;
}

export class CommandsService {
  readonly #deps: CommandsDeps;
  readonly #sequencer: Sequencer;
  readonly #dispatch: Dispatch;
  readonly #acknowledgements: Acknowledgements;
  readonly #sessions = new Map<string, Promise<Session>>();
  /** Results that are being made durable, by agent. */
  readonly #appending = new Map<string, Promise<void>>();
  readonly #listeners: ResultsListener[] = [];
  readonly #arrive: (agent: Pick<AgentRef, 'tenantId' | 'agentId'>) => Promise<repository.Arrival>;

  constructor(deps: CommandsDeps) {
    this.#deps = deps;
    this.#dispatch = new Dispatch(deps);
    this.#arrive = createGather({
      clock: deps.clock,
      answer: (agents) =>
        deps.db.inSystem('commands.readArrivals', (tx) => repository.arrivals(tx, agents, deps.clock.now())),
    });
    this.#acknowledgements = new Acknowledgements((agentId, upTo) =>
      deps.link.send(agentId, { type: 'resultsHeld', upTo }),
    );
    this.#sequencer = new Sequencer({
      db: deps.db,
      audit: deps.audit,
      newId: deps.newId,
      committed: (readings) => {
        this.#dispatch.sendReadings(readings);
        for (const { agentId } of readings) this.#acknowledgements.sendTo(agentId);
        this.#tellElsewhere(readings);
      },
      ...(deps.maxWaiting === undefined ? {} : { maxWaiting: deps.maxWaiting }),
    });
  }

  /** Called after results that belong to host runs are durable. */
  onResults(listener: ResultsListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Asks an agent for a reading (class R0). Resolves when the command is durable and audited; delivery follows.
   * Errors: policy_refused for a verb that needs a release, not_found, rate_limited, overloaded.
   */
  async submitCommand(
    tenantId: string,
    command: {
      readonly hostId: string;
      readonly agentId: string;
      readonly verb: Verb;
      readonly principal: Principal;
    },
  ): Promise<{ readonly commandId: string }> {
    const { hostId, agentId, verb, principal } = command;
    if (verbCatalogue[verb].class !== 'R0') {
      throw new AppError('policy_refused', { detail: `${verb} needs a release` });
    }
    const id = this.#deps.newId();
    const expiresAtMs = this.#deps.clock.now() + verbCatalogue[verb].timeoutS * 1000;
    await this.#sequencer.submit({ id, tenantId, agentId, hostId, verb, expiresAtMs }, principal);
    return { commandId: id };
  }

  /** Writes the one command of an order and its audit entry in the caller's transaction; `deliver` it after the commit. */
  async createOrder(tx: TenantTx, draft: OrderDraft): Promise<OrderRow> {
    const id = this.#deps.newId();
    await repository.insertOrder(tx, id, draft);
    const { hostRunId, step, attempt, fence, verb, agentId, hostId, releaseId, runId } = draft;
    await this.#deps.audit.record(tx, {
      action: 'command.dispatched',
      actorKind: 'system',
      actorId: null,
      subjectType: 'command',
      subjectId: id,
      outcome: 'ok',
      digest: null,
      details: { verb, step, attempt, fence, agentId, hostId, hostRunId, runId, releaseId },
    });
    return { ...draft, id, createdAt: new Date(this.#deps.clock.now()) };
  }

  /** Hands a durable order to its agent, at least once. False when the agent is not there: it gets the order when it is back. */
  async deliver(tenantId: string, order: OrderRow): Promise<boolean> {
    try {
      const isSent = await this.#dispatch.sendOrder(tenantId, order);
      const { agentId, id } = order;
      if (!isSent && !this.#deps.link.isConnected(agentId))
        this.#deps.elsewhere?.({ tenantId, agentId, commandId: id });
      return isSent;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      // No sealed proof, no dispatch. The queue clock of the host run asks again.
      this.#deps.log.warn({ err: error, commandId: order.id }, 'an order could not be handed over yet');
      return false;
    }
  }

  /** Hands over what another node could not, if the agent is connected here. A repetition is harmless: the agent knows its commands. */
  async handOver({ tenantId, agentId, commandId }: Errand): Promise<void> {
    const { db, link } = this.#deps;
    if (!link.isConnected(agentId)) return;
    if (commandId === null) {
      const open = await db.inTenant(tenantId, (tx) => this.#openReadings(tx, agentId));
      this.#dispatch.sendMissing(agentId, open);
      return;
    }
    const order = await db.inTenant(tenantId, (tx) => repository.findOrder(tx, commandId));
    if (order?.agentId === agentId) await this.deliver(tenantId, order);
  }

  listOrders(tx: TenantTx, hostRunId: string): Promise<OrderRow[]> {
    return repository.listOrders(tx, hostRunId);
  }

  listResults(
    tx: TenantTx,
    of: { readonly hostRunId: string; readonly agentId: string },
    afterSeq: number,
  ): Promise<StoredResult[]> {
    return repository.listResults(tx, of, afterSeq);
  }

  /** Highest result sequence that is durable for this agent: what `welcome` tells it. */
  async resultsHeld(tenantId: string, agentId: string): Promise<number> {
    return (await this.#session(tenantId, agentId)).held;
  }

  /** An agent said hello. Returns the frames for it: readings that it has not answered. */
  async connected(agent: AgentRef): Promise<ServerFrame[]> {
    const handOver = this.#dispatch.connected(agent.agentId);
    this.#acknowledgements.forget(agent.agentId);
    this.#sessions.delete(agent.agentId);
    // What the former connection brought is held once it is stored: asked before, the agent would bring it again.
    await this.#appending.get(agent.agentId)?.catch(() => undefined);
    const { held, mayBeAsked } = await this.#arrive(agent);
    await this.#session(agent.tenantId, agent.agentId, held);
    if (!mayBeAsked) return handOver([]);
    return handOver(
      await this.#deps.db.inTenant(agent.tenantId, (tx) => this.#openReadings(tx, agent.agentId)),
    );
  }

  #openReadings(tx: TenantTx, agentId: string) {
    return repository.openReadings(tx, agentId, this.#deps.clock.now());
  }

  /** The agent was sent a checkpoint of the audit log with so many entries. */
  checkpointShown(agentId: string, size: number): void {
    this.#dispatch.shown(agentId, size);
  }

  disconnected(agent: AgentRef): void {
    this.#dispatch.disconnected(agent.agentId);
    this.#acknowledgements.forget(agent.agentId);
    this.#sessions.delete(agent.agentId);
  }

  /**
   * Verifies results, makes them durable, says so to the agent, and tells who waits for them.
   * A duplicate is acknowledged and changes nothing; behind a gap nothing is taken, and the agent sends again.
   */
  async receiveResults(agent: AgentRef, frame: ResultsFrame): Promise<void> {
    const opened = this.#session(agent.tenantId, agent.agentId);
    const session = await opened;
    const verified = await this.#verifyAll(agent, frame, session.key);
    // The agent has gone or come back meanwhile: it sends again what it was not told is held.
    if (verified === null || this.#sessions.get(agent.agentId) !== opened) return;
    const isVisited = this.#deps.isVisited?.(agent.agentId) ?? false;
    const fresh = freshOf(verified, session.held);
    const last = fresh.at(-1)?.fresh.at(-1)?.seq;
    if (last !== undefined) {
      await this.#append(
        agent,
        fresh.map((one) => ({ ...one, ...agent, isVisited })),
      );
      session.held = last;
    }
    this.#acknowledgements.add(agent.agentId, session.held);
    const results = fresh.flatMap((one) => one.fresh);
    this.#dispatch.answered(
      agent.agentId,
      results.map(({ commandId }) => commandId),
    );
    const hostRunIds = [...new Set(results.flatMap(({ hostRunId }) => hostRunId ?? []))];
    if (hostRunIds.length === 0) return;
    for (const listener of this.#listeners) listener(agent.tenantId, hostRunIds);
  }

  async #append({ agentId }: AgentRef, drafts: Parameters<Sequencer['append']>[0]): Promise<void> {
    const stored = this.#sequencer.append(drafts);
    this.#appending.set(agentId, stored);
    try {
      await stored;
    } finally {
      if (this.#appending.get(agentId) === stored) this.#appending.delete(agentId);
    }
  }

  /** Waits for what is in the air. */
  async stop(): Promise<void> {
    this.#dispatch.stop();
    await this.#sequencer.drained();
    this.#acknowledgements.flush();
  }

  #tellElsewhere(readings: readonly Pick<repository.ReadingDraft, 'agentId' | 'tenantId'>[]): void {
    const { elsewhere, link } = this.#deps;
    if (elsewhere === undefined) return;
    const absent = new Map(readings.map(({ agentId, tenantId }) => [agentId, tenantId]));
    for (const [agentId, tenantId] of absent) {
      if (!link.isConnected(agentId)) elsewhere({ tenantId, agentId, commandId: null });
    }
  }

  #session(tenantId: string, agentId: string, held?: number): Promise<Session> {
    const known = this.#sessions.get(agentId);
    if (known !== undefined) return known;
    const opened = this.#open(tenantId, agentId, held).catch((error: unknown) => {
      this.#sessions.delete(agentId);
      throw error;
    });
    this.#sessions.set(agentId, opened);
    return opened;
  }

  async #open(tenantId: string, agentId: string, known?: number): Promise<Session> {
    const spki = await this.#deps.resultKeyOf(tenantId, agentId);
    invariant(spki !== null, 'a connected agent has no result key');
    const held = known ?? (await this.#arrive({ tenantId, agentId })).held;
    return { key: resultKey(spki), held };
  }

  async #verifyAll(agent: AgentRef, frame: ResultsFrame, key: KeyObject): Promise<VerifiedBatch[] | null> {
    try {
      return await Promise.all(frame.envelopes.map((envelope) => verifyResults(envelope, key, agent)));
    } catch (error) {
      if (!(error instanceof ResultRefused)) throw error;
      await this.#raiseAlarm(agent, error.reason);
      this.#deps.link.disconnect(agent.agentId, 'result_refused', 60_000);
      return null;
    }
  }

  async #raiseAlarm(agent: AgentRef, reason: string): Promise<void> {
    this.#deps.log.warn({ agentId: agent.agentId, reason }, 'a result of an agent was refused');
    await this.#deps.db.inTenant(agent.tenantId, (tx) =>
      this.#deps.audit.record(tx, {
        action: 'agent.alarm',
        actorKind: 'agent',
        actorId: agent.agentId,
        subjectType: 'agent',
        subjectId: agent.agentId,
        outcome: 'refused',
        digest: null,
        details: { code: 'result_refused', reason },
      }),
    );
  }
}

/** Of each batch what follows on without a gap; the agent sends again what is behind one. */
function freshOf(
  batches: readonly VerifiedBatch[],
  held: number,
): (Pick<VerifiedBatch, 'payload' | 'signature'> & { fresh: CommandResult[] })[] {
  let next = held + 1;
  const found = batches.map(({ results, payload, signature }) => {
    const fresh: CommandResult[] = [];
    for (const result of results) {
      if (result.seq !== next) continue;
      fresh.push(result);
      next += 1;
    }
    return { payload, signature, fresh };
  });
  return found.filter(({ fresh }) => fresh.length > 0);
}
