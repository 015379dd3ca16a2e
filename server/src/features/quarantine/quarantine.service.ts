import type { QuarantineRule, UpdateQuarantine } from '#contract/quarantine.ts';
import type { AuditDraft, AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import { mustQuarantine } from './quarantine.policy.ts';
import * as repository from './quarantine.repository.ts';
import type { EndedTry, UpdateName } from './quarantine.repository.ts';

/** What the quarantine feature needs of the others; main.ts hands it over. */
export interface QuarantineDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
}

export class QuarantineService {
  readonly #deps: QuarantineDeps;

  constructor(deps: QuarantineDeps) {
    this.#deps = deps;
  }

  /**
   * A host that was changed came to its end: what was installed on it is judged, in the caller's transaction.
   * An installation that fails is held against every update that was to be installed with it.
   */
  async hostEnded(tx: TenantTx, ended: EndedTry & { readonly well: boolean }): Promise<void> {
    const { well, ...tried } = ended;
    const blame = well ? null : await repository.blameOf(tx, ended.hostRunId);
    // The network, the disk or the agent failed: nothing was learnt about the update.
    if (!well && blame === null) return;
    await repository.recordTries(tx, tried, blame);
    if (blame !== null) await this.#judge(tx, tried.updates);
  }

  /** Updates that must not be installed now, for the planner and for runs that are about to begin a wave. */
  active(tx: TenantTx): Promise<UpdateName[]> {
    return repository.activeQuarantines(tx);
  }

  /** Newest first. */
  async list(tenantId: string, page: IdPage) {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listQuarantines(tx, page);
      return pageOf(rows, page.limit, { item: repository.toQuarantine, keys: byId });
    });
  }

  /** Lets the update be installed again. Errors: not_found, transition_refused, forbidden to machines. */
  async lift(actor: TenantActor, quarantineId: string, reason: string): Promise<UpdateQuarantine> {
    if (actor.kind !== 'person')
      throw new AppError('forbidden', { detail: 'a machine cannot say that an update is good' });
    const at = new Date(this.#deps.clock.now());
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const { name, version } = found(await repository.getQuarantine(tx, quarantineId));
      if (!(await repository.liftQuarantine(tx, quarantineId, { by: actor.id, reason, at })))
        throw new AppError('transition_refused', { detail: 'this quarantine is lifted already' });
      await this.#deps.audit.record(tx, {
        ...{ action: 'update.quarantine_lifted', ...actorOf(actor), outcome: 'ok', digest: null },
        ...{ subjectType: 'update_quarantine', subjectId: quarantineId },
        details: { name, version, reason },
      });
      return repository.toQuarantine(found(await repository.getQuarantine(tx, quarantineId)));
    });
  }

  async getRule(tenantId: string): Promise<QuarantineRule> {
    return this.#deps.db.inTenant(tenantId, (tx) => repository.getRule(tx));
  }

  async updateRule(actor: TenantActor, rule: QuarantineRule): Promise<QuarantineRule> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const from = await repository.getRule(tx);
      await repository.saveRule(tx, rule);
      await this.#deps.audit.record(tx, {
        ...{ action: 'quarantine_rule.updated', ...actorOf(actor), outcome: 'ok', digest: null },
        ...{ subjectType: 'tenant', subjectId: actor.tenantId },
        details: { from, to: rule },
      });
      return rule;
    });
  }

  async #judge(tx: TenantTx, updates: readonly UpdateName[]): Promise<void> {
    const { audit, clock, newId } = this.#deps;
    await repository.lockTries(tx);
    const rule = await repository.getRule(tx);
    const bad = (await repository.triesOf(tx, updates)).filter((tries) => mustQuarantine(tries, rule));
    const entries: AuditDraft[] = [];
    for (const { name, version, ...counted } of bad) {
      const made = { id: newId(), name, version, evidence: { ...counted, rule }, at: new Date(clock.now()) };
      if (!(await repository.createQuarantine(tx, made))) continue;
      entries.push({
        ...{ action: 'update.quarantined', actorKind: 'system', actorId: null, outcome: 'ok', digest: null },
        ...{ subjectType: 'update_quarantine', subjectId: made.id },
        details: { name, version, ...made.evidence },
      });
    }
    if (entries.length > 0) await audit.recordMany(tx, entries);
  }
}
