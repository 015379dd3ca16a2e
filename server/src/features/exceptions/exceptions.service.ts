import type { AuditAction } from '#contract/audit.ts';
import type { EndedException, ExceptionAction, ExceptionBody, PatchException } from '#contract/exceptions.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import { judgeRequest, refusalOf } from './exceptions.policy.ts';
import * as readModel from './exceptions.read-model.ts';
import * as repository from './exceptions.repository.ts';
import type { ActiveException } from './exceptions.repository.ts';

/** What the exceptions feature needs of the others; main.ts hands it over. */
export interface ExceptionsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
}

interface Said {
  readonly exceptionId: string;
  readonly reason: string;
}

const made = {
  approve: { decision: 'approved', action: 'exception.approved' },
  refuse: { decision: 'refused', action: 'exception.refused' },
  revoke: { decision: 'revoked', action: 'exception.revoked' },
} as const satisfies Record<ExceptionAction, { decision: string; action: AuditAction }>;

export class ExceptionsService {
  readonly #deps: ExceptionsDeps;

  constructor(deps: ExceptionsDeps) {
    this.#deps = deps;
  }

  /** By their end, or newest first. */
  list(tenantId: string, page: readModel.ExceptionPage) {
    const nowMs = this.#deps.clock.now();
    return this.#deps.db.inTenant(tenantId, (tx) => readModel.listExceptions(tx, page, nowMs));
  }

  /** Errors: not_found. */
  get(tenantId: string, exceptionId: string): Promise<PatchException> {
    return this.#deps.db.inTenant(tenantId, (tx) => this.#read(tx, exceptionId));
  }

  /** What wants somebody: to be decided, about to end, ended too early, without an owner. */
  alerts(tenantId: string) {
    const nowMs = this.#deps.clock.now();
    return this.#deps.db.inTenant(tenantId, (tx) => readModel.listAlerts(tx, nowMs));
  }

  /** Exceptions that hold now for these hosts, for the planner. */
  active(tx: TenantTx, hostIds: readonly string[]): Promise<ActiveException[]> {
    return repository.activeExceptions(tx, hostIds, new Date(this.#deps.clock.now()));
  }

  /** Remembers, in the transaction that makes a plan, what it rests on. */
  recordPlan(tx: TenantTx, planId: string, exceptionIds: readonly string[]): Promise<void> {
    return repository.recordPlan(tx, planId, exceptionIds);
  }

  /** Exceptions that a plan rests on and that had ended by then; `atMs` in the future counts as now. */
  endedOfPlan(tx: TenantTx, planId: string, atMs: number): Promise<EndedException[]> {
    return repository.endedOfPlan(tx, planId, new Date(Math.min(atMs, this.#deps.clock.now())));
  }

  /** Asks for an exception. Errors: invalid_request on its end, place and owner. */
  async create(actor: TenantActor, body: ExceptionBody): Promise<PatchException> {
    const nowMs = this.#deps.clock.now();
    const id = this.#deps.newId();
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const faults = judgeRequest(body, nowMs);
      if (faults.length > 0) throw new AppError('invalid_request', { fields: faults });
      const placeName = await this.#nameOf(tx, body.place);
      if (!(await repository.canOwn(tx, body.ownerId)))
        throw new AppError('invalid_request', {
          fields: [{ path: '/body/ownerId', rule: 'member', message: 'nobody here can answer for it so' }],
        });
      await repository.createException(tx, {
        ...{ ...body, id, placeName, expiresAt: new Date(body.expiresAt) },
        ...{ requestedBy: actor.id, requestedAt: new Date(nowMs) },
      });
      const { update, place, reason, compensation, ownerId, expiresAt } = body;
      const details = { update, place: { ...place, name: placeName }, reason, compensation, ownerId };
      await this.#record(tx, actor, {
        ...{ action: 'exception.requested', exceptionId: id, details: { ...details, expiresAt } },
      });
      return this.#read(tx, id);
    });
  }

  /**
   * Approves, refuses or revokes. Errors: not_found, transition_refused, policy_refused when who asked approves it too.
   */
  async decide(actor: TenantActor, action: ExceptionAction, said: Said): Promise<PatchException> {
    const { exceptionId, reason } = said;
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const before = await this.#read(tx, exceptionId);
      const { state, requestedBy } = before;
      const refusal = refusalOf(action, { state, requestedBy, actorId: actor.id });
      if (refusal === 'four_eyes')
        throw new AppError('policy_refused', { detail: 'another person than the one who asked approves it' });
      const { decision, action: entry } = made[action];
      const at = new Date(this.#deps.clock.now());
      const seq = before.decisions.length + 1;
      const isFirst =
        refusal === null &&
        (await repository.addDecision(tx, exceptionId, { decision, reason, by: actor.id, seq, at }));
      if (!isFirst)
        throw new AppError('transition_refused', { detail: `this exception is ${state}, or just was` });
      const { update, place, expiresAt } = before;
      const details = { update, place, reason, expiresAt };
      await this.#record(tx, actor, { action: entry, exceptionId, details });
      return this.#read(tx, exceptionId);
    });
  }

  async #nameOf(tx: TenantTx, { kind, id }: ExceptionBody['place']): Promise<string | null> {
    if (kind === 'tenant' || id === null) return null;
    const name = await repository.placeName(tx, kind, id);
    if (name !== null) return name;
    throw new AppError('invalid_request', {
      fields: [{ path: '/body/place/id', rule: 'exists', message: `there is no such ${kind} here` }],
    });
  }

  async #read(tx: TenantTx, exceptionId: string): Promise<PatchException> {
    return found(await readModel.getException(tx, exceptionId, this.#deps.clock.now()));
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    entry: {
      readonly action: AuditAction;
      readonly exceptionId: string;
      readonly details: Record<string, unknown>;
    },
  ): Promise<void> {
    const { action, exceptionId, details } = entry;
    await this.#deps.audit.record(tx, {
      ...{ action, ...actorOf(actor), outcome: 'ok', digest: null, details },
      ...{ subjectType: 'exception', subjectId: exceptionId },
    });
    await this.#deps.emit(tx, { type: 'exception.changed', subjectId: exceptionId, data: {} });
  }
}
