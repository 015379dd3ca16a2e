import type { AgentFrame } from '#contract/agent-link.ts';
import { mayMoveRun, runActionMoves } from '#contract/run-transitions.ts';
import { hostRunActions, type HostRunState } from '#contract/runs.ts';
import type { PackagesArgs } from '#contract/verbs.ts';
import type { AuditAction } from '#contract/audit.ts';
import type { TargetDocument } from '#contract/trust.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError, invariant } from '../../platform/errors.ts';
import { createGather } from '../../platform/gather.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import type { ReleasedRun } from '../releases/releases.module.ts';
import { acceptHostRun } from './group-budget.repository.ts';
import { isTerminal, plannedHostRun, type Terms } from './host-run.model.ts';
import type { HostRunEngine } from './host-run.engine.ts';
import { listLive, listLiveOf, type LiveHostRun } from './live-host-runs.repository.ts';
import type { RunEngine } from './run.engine.ts';
import { isLive, limitsOf } from './run.policy.ts';
import { advanceTopic, type RunsDeps } from './runs.deps.ts';
import type { LogBuffer } from './runs.log.ts';
import * as repository from './runs.repository.ts';
import type { HostRunRow, PackageChange, RunChange, RunRow } from './runs.repository.ts';

interface AgentRef {
  readonly tenantId: string;
  readonly agentId: string;
}

interface Act {
  readonly runId: string;
  readonly action: keyof typeof runActionMoves;
  readonly entry: AuditAction;
  readonly reason: string;
}

export interface Engines {
  readonly hosts: HostRunEngine;
  readonly runs: RunEngine;
  readonly log: LogBuffer;
}

const defaultSilenceMs = 45_000;

function packagesOf(document: TargetDocument): PackageChange[] {
  const install = document.orders.find(({ step }) => step === 'install');
  if (install === undefined) return [];
  const { packages } = install.args as PackagesArgs;
  return packages.map(({ name, fromVersion, version }) => ({ name, from: fromVersion, to: version }));
}

export class RunsService {
  readonly #deps: RunsDeps;
  readonly #engines: Engines;
  readonly #liveOf: (agent: Pick<AgentRef, 'tenantId' | 'agentId'>) => Promise<LiveHostRun[]>;

  constructor(deps: RunsDeps, engines: Engines) {
    this.#deps = deps;
    this.#engines = engines;
    this.#liveOf = createGather({
      clock: deps.clock,
      answer: (agents) => deps.db.inSystem('runs.readLive', (tx) => listLiveOf(tx, agents)),
    });
  }

  /** Makes the run of a release in the transaction that approves it. It starts once the approval is sealed and its window opens. */
  async createFromRelease(tx: TenantTx, release: ReleasedRun): Promise<void> {
    const { db, newId, clock, outbox, emit } = this.#deps;
    const { tenantId, runId, notBefore, notAfter } = release;
    const limits = release.limits ?? limitsOf(notBefore, notAfter);
    await repository.createRun(tx, {
      id: runId,
      planId: release.planId,
      releaseId: release.releaseId,
      approvedEntryId: release.approvedEntryId,
      title: release.title,
      notBefore,
      notAfter,
      ...limits,
      ...release.waves,
    });
    const nowMs = clock.now();
    await repository.createHostRuns(
      tx,
      release.targets.map((target) => {
        const terms: Terms = {
          steps: target.document.orders.map(({ step }) => step),
          restart: release.restart,
          rollbackTier: target.rollbackTier,
          notAfterMs: notAfter.getTime(),
          reserveMs: notAfter.getTime() - limits.changeBy.getTime(),
          ...(release.limits === null ? {} : { strictEnd: true }),
          silenceMs: this.#deps.silenceMs ?? defaultSilenceMs,
        };
        const { hostId, agentId, hostname, wave, order } = target;
        const run = plannedHostRun(terms, 1, nowMs);
        return {
          id: newId(),
          runId,
          hostId,
          agentId,
          hostname,
          wave,
          position: order,
          run,
          packages: packagesOf(target.document),
        };
      }),
    );
    await outbox.publish(tx, [{ topic: advanceTopic, payload: { runId } }]);
    await emit(tx, { type: 'run.changed', subjectId: runId, data: { state: 'scheduled' } });
    db.afterCommit(tx, () => this.#look(tenantId, runId));
  }

  /** Starts nothing new; what runs goes on. Errors: not_found, transition_refused. */
  pause(actor: TenantActor, runId: string, reason: string): Promise<void> {
    return this.#control(actor, runId, { action: 'pause', entry: 'run.paused', reason });
  }

  /** Goes on, also past a wave whose failures had stopped the run. Errors: not_found, transition_refused. */
  async resume(actor: TenantActor, runId: string, reason: string): Promise<void> {
    await this.#control(actor, runId, { action: 'resume', entry: 'run.resumed', reason });
    this.#look(actor.tenantId, runId);
  }

  /** Stops each host before its next safe point. Errors: not_found, transition_refused. */
  async cancel(actor: TenantActor, runId: string, reason: string): Promise<void> {
    await this.#control(actor, runId, { action: 'cancel', entry: 'run.cancelled', reason });
    await this.#endCancelled(actor.tenantId, runId);
  }

  /** Cancels a run that has not begun, in the caller's transaction. Errors: not_found, transition_refused. */
  async withdraw(
    tx: TenantTx,
    actor: TenantActor,
    { runId, reason }: { readonly runId: string; readonly reason: string },
  ): Promise<void> {
    const { state } = await repository.lockRun(tx, runId);
    if (state !== 'scheduled')
      throw new AppError('transition_refused', { detail: `a run that is ${state} cannot be withdrawn` });
    await this.#controlIn(tx, actor, { runId, action: 'cancel', entry: 'run.cancelled', reason });
    this.#deps.db.afterCommit(tx, () => {
      this.#endCancelled(actor.tenantId, runId).catch((error: unknown) =>
        // The sweep looks again.
        this.#deps.log.warn({ err: error, runId }, 'a withdrawn run was not ended at once'),
      );
    });
  }

  async #endCancelled(tenantId: string, runId: string): Promise<void> {
    await this.#tellLive(tenantId, runId, 'cancel');
    await this.#engines.runs.advance(tenantId, runId);
  }

  /** A new attempt of the same released orders. Errors: not_found, transition_refused. Returns the new host run's id. */
  async retry(actor: TenantActor, hostRunId: string, reason: string): Promise<string> {
    const { db, newId } = this.#deps;
    const id = newId();
    const runId = await db.inTenant(actor.tenantId, async (tx) => {
      const row = await repository.getHostRun(tx, hostRunId);
      const run = await repository.lockRun(tx, row.runId);
      this.#assertRetryable(row, run);
      if (!(await repository.replaceHostRun(tx, row, id))) throw new AppError('transition_refused');
      await this.#addAttempt(tx, row, id);
      if (!isLive(run.state)) {
        const reopened: RunChange = { state: 'running', endedAt: null, report: null };
        invariant(await repository.saveRun(tx, run, reopened), 'a run that is locked is not overtaken');
      }
      await this.#record(tx, actor, {
        entry: 'host_run.retried',
        type: 'host_run',
        id: hostRunId,
        details: { reason, newHostRunId: id },
      });
      await this.#deps.emit(tx, {
        type: 'hostRun.changed',
        subjectId: id,
        data: { runId: row.runId, hostId: row.hostId, state: 'planned' },
      });
      return row.runId;
    });
    await this.#engines.runs.advance(actor.tenantId, runId);
    return id;
  }

  /**
   * A person says that a host which did not end well is up: other members of its groups may begin.
   * An agent that is silent keeps counting as down all the same. Errors: not_found, transition_refused, forbidden to machines.
   */
  async accept(actor: TenantActor, hostRunId: string, reason: string): Promise<void> {
    if (actor.kind !== 'person')
      throw new AppError('forbidden', { detail: 'a machine cannot say that a host is up' });
    const at = new Date(this.#deps.clock.now());
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const { runId, hostId, run } = await repository.getHostRun(tx, hostRunId);
      if (!(await acceptHostRun(tx, hostRunId, { at, states: hostRunActions.accept })))
        throw new AppError('transition_refused', {
          detail: `a host that is ${run.state} is not accepted as up`,
        });
      const decision = { at: at.toISOString(), code: 'accepted_by_person' as const, values: {} };
      await repository.recordDecisions(tx, [{ ...decision, id: this.#deps.newId(), runId, hostRunId }]);
      await this.#record(tx, actor, {
        entry: 'host_run.accepted',
        type: 'host_run',
        id: hostRunId,
        details: { reason, state: run.state, hostId },
      });
      const data = { runId, hostId, state: run.state };
      await this.#deps.emit(tx, { type: 'hostRun.changed', subjectId: hostRunId, data });
    });
  }

  /** An agent said hello: what it was doing is asked for again, and a lost host goes on from where it was. */
  async agentConnected(agent: AgentRef, openCommands: readonly string[]): Promise<void> {
    for (const { id, state, openCommandId } of await this.#liveOf(agent)) {
      if (state === 'planned') continue;
      const knowsOpen = openCommandId !== null && openCommands.includes(openCommandId);
      await this.#engines.hosts.advance(agent.tenantId, id, [{ type: 'back', knowsOpen }]);
    }
  }

  /** A sign of life of an agent; written down by the next tick. */
  heard(agent: AgentRef): void {
    this.#engines.log.heard(agent);
  }

  /** Where a running command is: kept for people, and it holds the progress clock. */
  progress(agent: AgentRef, frame: Extract<AgentFrame, { type: 'progress' }>): void {
    this.#engines.log.progress(agent, frame);
  }

  /** The emergency stop was closed or opened: hosts stop before their next change, runs pause. */
  async lockChanged(tenantId: string): Promise<void> {
    const { runs, lock } = await this.#deps.db.inTenant(tenantId, async (tx) => ({
      runs: await repository
        .selectRuns(tx)
        .where('state', 'in', ['scheduled', 'running', 'paused', 'stopping'])
        .execute(),
      lock: await this.#deps.trust.lockOf(tx),
    }));
    for (const { id } of runs) {
      const locked = lock.tenant || lock.runIds.includes(id);
      await this.#engines.runs.advance(tenantId, id);
      await this.#tellLive(tenantId, id, locked ? 'lock' : 'unlock');
    }
  }

  #look(tenantId: string, runId: string): void {
    this.#engines.runs.advance(tenantId, runId).catch((error: unknown) =>
      // The sweep looks again.
      this.#deps.log.warn({ err: error, runId }, 'a run was not moved'),
    );
  }

  /** Planned hosts wait for their wave, also under a lock; a cancellation ends them. */
  async #tellLive(tenantId: string, runId: string, event: 'cancel' | 'lock' | 'unlock'): Promise<void> {
    const live = await this.#deps.db.inTenant(tenantId, (tx) => listLive(tx, runId));
    const concerned = live.filter(({ state }) => event === 'cancel' || state !== 'planned');
    await this.#engines.runs.tell(
      tenantId,
      concerned.map(({ id }) => id),
      event,
    );
  }

  async #control(actor: TenantActor, runId: string, act: Omit<Act, 'runId'>): Promise<void> {
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      await this.#controlIn(tx, actor, { runId, ...act });
      if (act.action === 'cancel')
        await this.#deps.takeBack?.(tx, runId, { kind: 'cancelled', reason: act.reason });
    });
  }

  async #controlIn(tx: TenantTx, actor: TenantActor, { runId, ...act }: Act): Promise<void> {
    const { to, cause } = runActionMoves[act.action];
    const row = await repository.lockRun(tx, runId);
    if (!mayMoveRun(row.state, to, cause)) {
      throw new AppError('transition_refused', {
        detail: `a run that is ${row.state} cannot ${act.action}`,
      });
    }
    const members = act.action === 'resume' ? await repository.membersOf(tx, runId) : [];
    const begun = members.filter(({ state }) => isTerminal(state)).map(({ wave }) => wave);
    const saved = await repository.saveRun(tx, row, {
      state: to,
      ...(act.action === 'resume' ? { acceptedWave: Math.max(row.acceptedWave, ...begun) } : {}),
      deadlineAt: new Date(this.#deps.clock.now()),
    });
    invariant(saved, 'a run that is locked is not overtaken');
    await this.#record(tx, actor, {
      entry: act.entry,
      type: 'run',
      id: runId,
      details: { reason: act.reason, from: row.state },
    });
    await this.#deps.emit(tx, { type: 'run.changed', subjectId: runId, data: { state: to } });
  }

  #assertRetryable(row: HostRunRow, run: RunRow): void {
    const { state, outcomes } = row.run;
    const states: readonly HostRunState[] = hostRunActions.retry;
    const untouched = outcomes.patch === 'not_started' || outcomes.patch === 'not_installed';
    const open =
      run.state === 'running' || run.state === 'paused' || mayMoveRun(run.state, 'running', 'host_retried');
    if (
      states.includes(state) &&
      untouched &&
      open &&
      row.replacedBy === null &&
      this.#deps.clock.now() < run.startBy.getTime()
    )
      return;
    throw new AppError('transition_refused', {
      detail: untouched ? 'the run or its window is over' : 'the host was changed: plan it again',
    });
  }

  async #addAttempt(tx: TenantTx, row: HostRunRow, id: string): Promise<void> {
    const nowMs = this.#deps.clock.now();
    const { terms, fence, restartsAtMs, rounds } = row.run;
    invariant(isTerminal(row.run.state), 'only an ended host run is tried again');
    const run = { ...plannedHostRun(terms, fence + 1, nowMs), restartsAtMs, rounds };
    const { runId, hostId, agentId, hostname, wave, position, packages } = row;
    await repository.createHostRuns(tx, [
      { id, runId, hostId, agentId, hostname, wave, position, run, packages },
    ]);
    const decision = {
      at: new Date(nowMs).toISOString(),
      code: 'retried' as const,
      values: { attempt: fence + 1 },
    };
    await repository.recordDecisions(tx, [{ ...decision, id: this.#deps.newId(), runId, hostRunId: id }]);
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    said: {
      readonly entry: AuditAction;
      readonly type: string;
      readonly id: string;
      readonly details: Record<string, unknown>;
    },
  ): Promise<void> {
    await this.#deps.audit.record(tx, {
      action: said.entry,
      ...actorOf(actor),
      subjectType: said.type,
      subjectId: said.id,
      outcome: 'ok',
      digest: null,
      details: said.details,
    });
  }
}
