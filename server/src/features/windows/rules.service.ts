import type { AuditAction } from '#contract/audit.ts';
import type { ScheduleProblem } from '#contract/windows.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import * as repository from './windows.repository.ts';
import type { StoredRow, WindowsTable } from './windows.repository.ts';

export interface RulesDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
}

interface Named {
  readonly name: string;
  readonly siteId: string | null;
}

/** What sets windows and freezes apart. */
interface Kind<B> {
  readonly table: WindowsTable;
  readonly subject: 'window' | 'freeze';
  readonly judge: (body: B) => readonly ScheduleProblem[];
}

interface Target {
  readonly id: string;
  readonly version: number;
}

const nameTaken = (): AppError =>
  new AppError('already_exists', {
    fields: [{ path: '/body/name', rule: 'unique', message: 'this name is taken already' }],
  });

/** The problems as the fields of a refusal; null when there is none. */
function refusalOf(problems: readonly ScheduleProblem[]): AppError | null {
  if (problems.length === 0) return null;
  const fields = problems.map(({ path, code, values }) => ({
    path: `/body/${path}`,
    rule: code,
    message: [
      code.replaceAll('_', ' '),
      ...Object.entries(values).map(([name, value]) => `${name} ${value}`),
    ].join(', '),
  }));
  return new AppError('invalid_request', { fields });
}

/** Stored rules of one kind: made, read, changed and removed, each change with its audit entry. */
export class RulesService<B extends Named> {
  readonly #deps: RulesDeps;
  readonly #kind: Kind<B>;

  constructor(deps: RulesDeps, kind: Kind<B>) {
    this.#deps = deps;
    this.#kind = kind;
  }

  /** Newest first. */
  async list(tenantId: string, page: IdPage) {
    const { table } = this.#kind;
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listRows<B>(tx, table, page);
      const total = await repository.countRows(tx, table);
      return pageOf(rows, page.limit, { item: (row) => row, keys: byId, total });
    });
  }

  /** Errors: not_found. */
  async get(tenantId: string, id: string): Promise<B & StoredRow> {
    return this.#deps.db.inTenant(tenantId, async (tx) => found(await this.getIn(tx, id)));
  }

  /** Inside a transaction of another feature; null when it is not there. */
  getIn(tx: TenantTx, id: string): Promise<(B & StoredRow) | null> {
    return repository.getRow<B>(tx, this.#kind.table, id);
  }

  /** Everything in force. */
  all(tx: TenantTx): Promise<(B & StoredRow)[]> {
    return repository.listAll<B>(tx, this.#kind.table);
  }

  /** Errors: invalid_request with what and where, already_exists. */
  async create(actor: TenantActor, body: B): Promise<B & StoredRow> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      await this.#check(tx, body);
      const made = await repository.createRow(tx, this.#kind.table, { id: this.#deps.newId(), body });
      if (made === null) throw nameTaken();
      await this.#record(tx, actorOf(actor), ['created', made]);
      return made;
    });
  }

  /** Made by the system beside something else; nothing happens when the name is taken. */
  async createBeside(tx: TenantTx, body: B): Promise<void> {
    const made = await repository.createRow(tx, this.#kind.table, { id: this.#deps.newId(), body });
    if (made !== null) await this.#record(tx, { actorKind: 'system', actorId: null }, ['created', made]);
  }

  /** Errors: invalid_request, not_found, precondition_failed, already_exists. */
  async update(actor: TenantActor, target: Target, body: B): Promise<B & StoredRow> {
    const { table } = this.#kind;
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      found(await this.getIn(tx, target.id));
      await this.#check(tx, body);
      if (await repository.isNameTaken(tx, table, { id: target.id, name: body.name })) throw nameTaken();
      const changed = await repository.updateRow(tx, table, { ...target, body });
      if (changed === null) throw new AppError('precondition_failed');
      await this.#record(tx, actorOf(actor), ['updated', changed]);
      return changed;
    });
  }

  /** Errors: not_found, precondition_failed. */
  async remove(actor: TenantActor, target: Target): Promise<void> {
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const row = found(await this.getIn(tx, target.id));
      const at = new Date(this.#deps.clock.now());
      const removed = await repository.removeRow(tx, this.#kind.table, { ...target, at });
      if (!removed) throw new AppError('precondition_failed');
      await this.#record(tx, actorOf(actor), ['removed', row]);
    });
  }

  /** What is wrong with a rule here, its site included. */
  async problemsOf(tx: TenantTx, body: B): Promise<ScheduleProblem[]> {
    const problems = [...this.#kind.judge(body)];
    if (body.siteId !== null && !(await repository.siteExists(tx, body.siteId)))
      problems.push({ path: 'siteId', code: 'no_such_site', values: {} });
    return problems;
  }

  async #check(tx: TenantTx, body: B): Promise<void> {
    const refusal = refusalOf(await this.problemsOf(tx, body));
    if (refusal !== null) throw refusal;
  }

  async #record(
    tx: TenantTx,
    actor: Pick<Parameters<AuditWriter['record']>[1], 'actorKind' | 'actorId'>,
    [act, row]: readonly ['created' | 'updated' | 'removed', B & StoredRow],
  ): Promise<void> {
    const { subject } = this.#kind;
    // A reason is free text and may speak of people: the log keeps the rule.
    const { id, createdAt: _createdAt, updatedAt: _updatedAt, ...rule } = row;
    const details = Object.fromEntries(Object.entries(rule).filter(([member]) => member !== 'reason'));
    await this.#deps.audit.record(tx, {
      action: `${subject}.${act}` satisfies AuditAction,
      ...actor,
      subjectType: subject,
      subjectId: id,
      outcome: 'ok',
      digest: null,
      details,
    });
  }
}
