import { isDeepStrictEqual } from 'node:util';
import type { Decision } from '#contract/runs.ts';
import type { AuditDraft } from '../../platform/audit/auditWriter.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { OrderRow, StoredResult } from '../commands/commands.module.ts';
import { holdOf, type Hold } from './group-budget.policy.ts';
import { hostFactsOf } from './group-budget.repository.ts';
import { awake, stepVerbs } from './host-run.clocks.ts';
import {
  isBeforeChange,
  isTerminal,
  type Effect,
  type HostRun,
  type HostRunEvent,
} from './host-run.model.ts';
import { decide } from './host-run.policy.ts';
import { isGreen } from './host-run.results.ts';
import { createQueue, type KeyedQueue } from './keyed.queue.ts';
import { advanceTopic, type RunsDeps } from './runs.deps.ts';
import * as repository from './runs.repository.ts';
import type { HostRunRow } from './runs.repository.ts';

/** What must happen once the new state is durable. */
interface Aftermath {
  readonly row: HostRunRow;
  readonly deliver: OrderRow | null;
  readonly moved: boolean;
}

/** Somebody else changed the row meanwhile: nothing was written, look again. */
class Overtaken extends Error {}

const tries = 6;

/** Moves one host run: reads it, asks the rules, writes state and effects in one transaction, and only then acts. */
export class HostRunEngine {
  readonly #deps: RunsDeps;
  readonly #queue: KeyedQueue = createQueue();
  readonly #startedAtMs: number;
  readonly #onMoved: (tenantId: string, runId: string) => void;

  /** `onMoved` is told after the commit when a host run entered another state. */
  constructor(deps: RunsDeps, onMoved: (tenantId: string, runId: string) => void) {
    this.#deps = deps;
    this.#startedAtMs = deps.clock.now();
    this.#onMoved = onMoved;
  }

  /** Takes new results, the given events and the time into account. The same call twice changes nothing the second time. */
  advance(tenantId: string, hostRunId: string, events: readonly HostRunEvent[] = []): Promise<void> {
    return this.#queue.run(hostRunId, async () => {
      const aftermath = await this.#transact(tenantId, hostRunId, events);
      if (aftermath === null) return;
      if (aftermath.moved) this.#onMoved(tenantId, aftermath.row.runId);
      if (aftermath.deliver !== null) this.#deliver(tenantId, aftermath.deliver);
    });
  }

  /** Resolves when nothing is being moved. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  async #transact(
    tenantId: string,
    hostRunId: string,
    events: readonly HostRunEvent[],
  ): Promise<Aftermath | null> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#deps.db.inTenant(tenantId, (tx) => this.#step(tx, hostRunId, events));
      } catch (error) {
        if (error instanceof AppError && error.code === 'not_found') return null;
        if (!(error instanceof Overtaken) || attempt === tries) throw error;
      }
    }
  }

  /** After the commit, and outside of the queue: sealing may take a moment, and the next event must not wait for it. */
  #deliver(tenantId: string, order: OrderRow): void {
    const { commands, log } = this.#deps;
    const { step, attempt, hostRunId } = order;
    void commands
      .deliver(tenantId, order)
      .then((sent) =>
        sent ? this.advance(tenantId, hostRunId, [{ type: 'delivered', step, attempt }]) : undefined,
      )
      // The queue clock asks again.
      .catch((error: unknown) => log.warn({ err: error, hostRunId }, 'an order was not delivered'));
  }

  async #step(tx: TenantTx, hostRunId: string, events: readonly HostRunEvent[]): Promise<Aftermath | null> {
    const { clock, commands } = this.#deps;
    const row = await repository.getHostRun(tx, hostRunId);
    const stored = await commands.listResults(tx, { hostRunId, agentId: row.agentId }, row.resultsApplied);
    const orders =
      stored.length > 0 || events.some(({ type }) => type === 'back' || type === 'heard')
        ? await commands.listOrders(tx, hostRunId)
        : [];
    const [stop, asked] = [await this.#stop(tx, row), await this.#claim(tx, row, events)];
    const nowMs = clock.now();
    const before = this.#awake(row);
    // The stop comes before the results: one of them may be what the next step waits for.
    const happened = [...stop, ...toEvents(stored, orders), ...asked, { type: 'clock' } as const];
    const folded = fold(before, happened, nowMs);
    const after = folded.run;
    const resultsApplied = Math.max(row.resultsApplied, ...stored.map(({ seq }) => seq));
    if (folded.effects.length === 0 && stored.length === 0 && isDeepStrictEqual(after, row.run)) return null;
    const sent = await this.#createOrders(tx, row, folded.effects);
    const openCommandId = after.open === null ? null : (sent.at(-1)?.id ?? row.openCommandId);
    await this.#record(tx, row, { after, effects: folded.effects, resultsApplied, openCommandId, nowMs });
    const redeliver = folded.effects.some(({ type }) => type === 'redeliver') && after.open !== null;
    const known = orders.length > 0 ? orders : redeliver ? await commands.listOrders(tx, hostRunId) : [];
    return {
      row,
      deliver: sent.at(-1) ?? (redeliver ? (known.find(({ id }) => id === openCommandId) ?? null) : null),
      moved: after.state !== row.run.state,
    };
  }

  #awake(row: HostRunRow): HostRun {
    const heardAtMs = row.lastHeardAt?.getTime() ?? 0;
    const lastHeardAtMs = Math.max(row.run.lastHeardAtMs, heardAtMs);
    return awake({ ...row.run, lastHeardAtMs }, this.#startedAtMs);
  }

  /** The emergency stop as it is now: whoever was told of it may have died before telling us. */
  async #stop(tx: TenantTx, row: HostRunRow): Promise<readonly HostRunEvent[]> {
    if (row.run.state === 'planned' || !isBeforeChange(row.run)) return [];
    const { tenant, runIds } = await this.#deps.trust.lockOf(tx);
    return [{ type: tenant || runIds.includes(row.runId) ? 'lock' : 'unlock' }];
  }

  /** A host is in one run at a time: the claim is taken with the first step and given back at the end. */
  async #claim(
    tx: TenantTx,
    row: HostRunRow,
    events: readonly HostRunEvent[],
  ): Promise<readonly HostRunEvent[]> {
    if (row.run.state !== 'planned' || !events.some(({ type }) => type === 'start')) return events;
    const hold = await this.#holdOf(tx, row.hostId);
    if (hold !== null) return [{ type: 'held', hold }];
    if (await this.#deps.fleet.setActiveRun(tx, row.hostId, row.runId)) return events;
    return [{ type: 'occupied' }];
  }

  /** Budgets hold at this very moment, whatever the waves say and whichever run took a member down. */
  async #holdOf(tx: TenantTx, hostId: string): Promise<Hold | null> {
    const around = await this.#deps.groups.lockAround(tx, hostId);
    if (around === null) return null;
    const hosts = await hostFactsOf(tx, around.hostIds);
    return holdOf(hostId, around.groups, { hosts, guests: around.guests });
  }

  async #createOrders(tx: TenantTx, row: HostRunRow, effects: readonly Effect[]): Promise<OrderRow[]> {
    const sends = effects.filter((effect) => effect.type === 'send');
    if (sends.length === 0) return [];
    const { releaseId } = await repository.getRun(tx, row.runId);
    const orders: OrderRow[] = [];
    for (const { step, attempt } of sends) {
      const { agentId, hostId, runId } = row;
      const draft = { agentId, hostId, runId, releaseId, hostRunId: row.id, fence: row.run.fence };
      orders.push(
        await this.#deps.commands.createOrder(tx, { ...draft, verb: stepVerbs[step], step, attempt }),
      );
    }
    return orders;
  }

  /** Only a host that was changed says something about what was installed on it. */
  async #judgeUpdates(tx: TenantTx, row: HostRunRow, { state, outcomes }: HostRun): Promise<void> {
    if (outcomes.patch === 'not_started' || outcomes.patch === 'not_installed') return;
    await this.#deps.quarantine?.hostEnded(tx, {
      ...{ hostRunId: row.id, hostId: row.hostId, hostname: row.hostname },
      updates: row.packages.map(({ name, to }) => ({ name, version: to })),
      well: state === 'committed',
    });
  }

  async #record(
    tx: TenantTx,
    row: HostRunRow,
    change: {
      readonly after: HostRun;
      readonly effects: readonly Effect[];
      readonly resultsApplied: number;
      readonly openCommandId: string | null;
      readonly nowMs: number;
    },
  ): Promise<void> {
    const { audit, emit, fleet, newId, outbox } = this.#deps;
    const { after, effects } = change;
    const decisions = effects
      .filter((effect) => effect.type === 'decide')
      .map(({ code, values }): Decision => ({ at: toInstant(change.nowMs), code, values }));
    const saved = await repository.saveHostRun(tx, row, {
      run: after,
      openCommandId: change.openCommandId,
      resultsApplied: change.resultsApplied,
      lastDecision: decisions.at(-1) ?? null,
      newStep: change.openCommandId !== row.openCommandId,
    });
    if (!saved) throw new Overtaken();
    await repository.recordDecisions(
      tx,
      decisions.map((decision) => ({ ...decision, id: newId(), runId: row.runId, hostRunId: row.id })),
    );
    await audit.recordMany(tx, [...transitionEntries(row, effects), ...holdEntries(row, effects)]);
    const ended = isTerminal(after.state) && !isTerminal(row.run.state);
    if (ended && after.startedAtMs !== null) await fleet.setActiveRun(tx, row.hostId, null);
    if (ended) await this.#judgeUpdates(tx, row, after);
    if (ended) await outbox.publish(tx, [{ topic: advanceTopic, payload: { runId: row.runId } }]);
    // Being heard is no news.
    if (effects.length === 0 && isDeepStrictEqual(after.open, row.run.open)) return;
    await emit(tx, {
      type: 'hostRun.changed',
      subjectId: row.id,
      data: { runId: row.runId, hostId: row.hostId, state: after.state, step: after.open?.step ?? null },
    });
  }
}

function fold(
  before: HostRun,
  events: readonly HostRunEvent[],
  nowMs: number,
): { readonly run: HostRun; readonly effects: readonly Effect[] } {
  let run = before;
  const effects: Effect[] = [];
  for (const event of events) {
    const decided = decide(run, event, nowMs);
    run = decided.state;
    effects.push(...decided.effects);
  }
  return { run, effects };
}

/** What the agent signed, as the rules hear it. The order that we made names the step, not the result. */
export function toEvents(stored: readonly StoredResult[], orders: readonly OrderRow[]): HostRunEvent[] {
  return stored.flatMap(({ commandId, result }): HostRunEvent[] => {
    const order = orders.find(({ id }) => id === commandId);
    const { facts, outcome, code, fence } = result;
    if (order !== undefined) {
      const { step, attempt } = order;
      return [{ type: 'result', step, attempt, fence: order.fence, outcome, code, facts }];
    }
    const by = facts.rollbackBy;
    if (result.verb !== 'guard.rollback' || (by !== 'agent' && by !== 'guardian')) return [];
    const succeeded = outcome === 'succeeded';
    const phasesMs = facts.phasesMs ?? {};
    const isDrained = facts.drained === true;
    return [{ type: 'selfRollback', by, succeeded, fence, phasesMs, isGreen: isGreen(facts), isDrained }];
  });
}

/** That a host has to wait for others is a decision about them too: it is in the log, not on the screen only. */
function holdEntries(row: HostRunRow, effects: readonly Effect[]): AuditDraft[] {
  return effects
    .filter((effect) => effect.type === 'decide')
    .filter(({ code }) => code === 'waits_for_group' || code === 'group_lets_none_go')
    .map(({ code, values }) => ({
      action: 'host_run.held',
      actorKind: 'system',
      actorId: null,
      subjectType: 'host_run',
      subjectId: row.id,
      outcome: 'ok',
      digest: null,
      details: { code, ...values, runId: row.runId, hostId: row.hostId, hostname: row.hostname },
    }));
}

function transitionEntries(row: HostRunRow, effects: readonly Effect[]): AuditDraft[] {
  return effects
    .filter((effect) => effect.type === 'transition')
    .map(({ from, to }) => ({
      action: 'host_run.transitioned',
      actorKind: 'system',
      actorId: null,
      subjectType: 'host_run',
      subjectId: row.id,
      outcome: to === 'failed' || to === 'rollback_failed' ? 'failed' : 'ok',
      digest: null,
      details: { from, to, runId: row.runId, hostId: row.hostId, hostname: row.hostname },
    }));
}
