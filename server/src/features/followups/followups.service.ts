import { hash } from 'node:crypto';
import type { EmergencyReport, Replacement, RunFollowUp } from '#contract/followups.ts';
import type { AuditAction } from '#contract/audit.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import type { FollowUpsDeps } from './followups.deps.ts';
import { missedTerms, postponableUntilMs } from './followups.policy.ts';
import * as repository from './followups.repository.ts';

const refused = (detail: string): AppError => new AppError('transition_refused', { detail });

/** What runs leave to do: missed ones to plan again, postponements, reports that emergencies owe. */
export class FollowUpsService {
  readonly #deps: FollowUpsDeps;

  constructor(deps: FollowUpsDeps) {
    this.#deps = deps;
  }

  /** Errors: not_found. */
  async get(tenantId: string, runId: string): Promise<RunFollowUp> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const untilMs = postponableUntilMs(found(await repository.termsOf(tx, runId)));
      return {
        replacement: await repository.getReplacement(tx, runId),
        emergency: await repository.getReport(tx, runId, this.#deps.clock.now()),
        postponableUntil: untilMs === null ? null : toInstant(untilMs),
      };
    });
  }

  /** What waits for a person, newest first. */
  async list(tenantId: string): Promise<{ missed: Replacement[]; emergencies: EmergencyReport[] }> {
    return this.#deps.db.inTenant(tenantId, async (tx) => ({
      missed: await repository.listAsking(tx),
      emergencies: await repository.listOwed(tx, this.#deps.clock.now()),
    }));
  }

  /** An emergency was released, in that transaction: a report will be owed. */
  async emergencyReleased(tx: TenantTx, runId: string, reason: string): Promise<void> {
    await repository.createReport(tx, runId, reason);
    await this.#record(tx, null, { action: 'emergency_report.owed', runId, details: {} });
  }

  /** A run has ended, in that transaction: hosts that it missed follow what their window says. */
  async runEnded(tx: TenantTx, runId: string): Promise<void> {
    const hostIds = await repository.hostsIn(tx, runId, 'missed');
    if (hostIds.length === 0) return;
    const { planId, windowId } = found(await repository.termsOf(tx, runId));
    const window = windowId === null ? null : await this.#deps.windowOf(tx, windowId);
    const { policy, state } = missedTerms(window);
    const row = { runId, planId, cause: 'missed', policy, state, hostIds } as const;
    if (!(await repository.createReplacement(tx, row))) return;
    const details = { policy, hosts: hostIds.length, windowId };
    await this.#record(tx, null, { action: 'missed_run.recorded', runId, details });
  }

  /** Plans the next occurrence of a missed run by itself; what stands in the way leaves it to a person. */
  async planNext(tenantId: string, runId: string): Promise<void> {
    const { db } = this.#deps;
    try {
      await db.inTenant(tenantId, async (tx) => {
        const row = await repository.lockReplacement(tx, runId);
        if (row?.state !== 'pending') return;
        const next = await this.#planAgain(tx, null, row);
        await repository.saveReplacement(tx, runId, { state: 'replanned', nextPlanId: next.planId });
        const details = { nextPlanId: next.planId, notBefore: next.notBefore };
        await this.#record(tx, null, { action: 'missed_run.replanned', runId, details });
      });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      await db.inTenant(tenantId, (tx) => this.#leave(tx, runId, error.code));
    }
  }

  /** Errors: not_found, transition_refused, and those of a plan. */
  async answer(
    actor: TenantActor,
    runId: string,
    said: { readonly answer: 'next_occurrence' | 'skip'; readonly reason: string },
  ): Promise<RunFollowUp> {
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const row = found(await repository.lockReplacement(tx, runId));
      if (row.state !== 'asks') throw refused('this run asks nothing, or not any more');
      const { answer, reason } = said;
      const next = answer === 'skip' ? null : await this.#planAgain(tx, actor, row);
      const decided = { by: actor.id, at: new Date(this.#deps.clock.now()), reason };
      await repository.saveReplacement(tx, runId, {
        ...{ decided, obstacle: null },
        ...(next === null ? { state: 'skipped' } : { state: 'replanned', nextPlanId: next.planId }),
      });
      const details = { answer, reason, nextPlanId: next?.planId ?? null };
      await this.#record(tx, actor, { action: 'missed_run.answered', runId, details });
    });
    return this.get(actor.tenantId, runId);
  }

  /**
   * Cancels a released run and plans the next occurrence of its window; the new plan needs its own release.
   * Errors: not_found, transition_refused, forbidden to machines, and those of a plan.
   */
  async postpone(actor: TenantActor, runId: string, reason: string): Promise<RunFollowUp> {
    if (actor.kind !== 'person')
      throw new AppError('forbidden', { detail: 'only a person postpones maintenance' });
    const { db, clock, notices, plans, runs } = this.#deps;
    await db.inTenant(actor.tenantId, async (tx) => {
      const terms = found(await repository.termsOf(tx, runId));
      const untilMs = postponableUntilMs(terms);
      if (untilMs === null) throw refused('only a run that has not begun, of a window, is postponed');
      if (clock.now() > untilMs) throw refused('less than 3 days are left: cancel the run instead');
      const hostIds = await repository.hostsIn(tx, runId, 'planned');
      const { planId } = terms;
      const next = await plans.planAgain(tx, actor, { planId, hostIds, after: 'occurrence' });
      await notices.takeBack(tx, runId, { kind: 'postponed', reason, nextNotBefore: next.notBefore });
      await runs.withdraw(tx, actor, { runId, reason });
      await repository.createReplacement(tx, {
        ...{ runId, planId, hostIds, cause: 'postponed', policy: null, state: 'pending' },
      });
      const decided = { by: actor.id, at: new Date(clock.now()), reason };
      await repository.saveReplacement(tx, runId, {
        state: 'replanned',
        nextPlanId: next.planId,
        decided,
      });
      const details = { reason, nextPlanId: next.planId, notBefore: next.notBefore };
      await this.#record(tx, actor, { action: 'run.postponed', runId, details });
    });
    return this.get(actor.tenantId, runId);
  }

  /** Errors: not_found, transition_refused while the run goes on or when it is written already. */
  async writeReport(actor: TenantActor, runId: string, text: string): Promise<RunFollowUp> {
    const nowMs = this.#deps.clock.now();
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const report = found(await repository.getReport(tx, runId, nowMs));
      if (report.state === 'not_yet') throw refused('the run goes on: its report is written afterwards');
      const written = { text, by: actor.id, at: new Date(nowMs) };
      if (!(await repository.writeReport(tx, runId, written))) throw refused('the report is written already');
      const details = { overdue: report.state === 'overdue' };
      const digest = hash('sha256', text, 'hex');
      await this.#record(tx, actor, { action: 'emergency_report.written', runId, details, digest });
    });
    return this.get(actor.tenantId, runId);
  }

  #planAgain(tx: TenantTx, by: TenantActor | null, row: repository.ReplacementRow) {
    const { planId, hostIds } = row;
    return this.#deps.plans.planAgain(tx, by, { planId, hostIds, after: 'now' });
  }

  async #leave(tx: TenantTx, runId: string, obstacle: string): Promise<void> {
    const row = await repository.lockReplacement(tx, runId);
    if (row?.state !== 'pending') return;
    await repository.saveReplacement(tx, runId, { state: 'asks', obstacle });
    await this.#record(tx, null, { action: 'missed_run.replanned', runId, details: { obstacle } });
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor | null,
    entry: {
      readonly action: AuditAction;
      readonly runId: string;
      readonly details: Record<string, unknown>;
      readonly digest?: string;
    },
  ): Promise<void> {
    const { action, runId, details, digest = null } = entry;
    await this.#deps.audit.record(tx, {
      action,
      ...(actor === null ? { actorKind: 'system' as const, actorId: null } : actorOf(actor)),
      subjectType: 'run',
      subjectId: runId,
      outcome: 'obstacle' in details ? 'failed' : 'ok',
      digest,
      details,
    });
    await this.#deps.emit(tx, { type: 'run.changed', subjectId: runId, data: { followUp: action } });
  }
}
