import type { Member, MemberCreate, Role } from '#contract/access.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import { isUniqueViolation, type Db, type TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type Caller } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import { decodeCursor, limitOf, pageOf, type PageQuery } from '../../platform/page.ts';
import type { Account, IdentityDirectory } from './identityDirectory.ts';
import * as repository from './members.repository.ts';
import { ensurePerson } from './people.repository.ts';

export interface MembersDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly newId: NewId;
  readonly directory: IdentityDirectory;
  /** Forgets what is remembered of callers. */
  readonly forget: () => void;
}

export class MembersService {
  readonly #deps: MembersDeps;

  constructor(deps: MembersDeps) {
    this.#deps = deps;
  }

  async list(
    tenantId: string,
    query: PageQuery,
  ): Promise<{ items: Member[]; nextCursor: string | null; total: number | null }> {
    const limit = limitOf(query);
    const after = decodeCursor(query.cursor, ['text', 'id']);
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listMembers(tx, { after, limit });
      const total = await repository.countMembers(tx);
      return pageOf(rows, limit, {
        item: repository.toMember,
        keys: (row) => [row.name.toLowerCase(), row.id],
        total,
      });
    });
  }

  /**
   * Creates the account at the identity provider, or adopts the one of that name (then there is no first password).
   * Errors: already_exists, identity_provider_unavailable.
   */
  async create(
    caller: Caller,
    tenantId: string,
    draft: MemberCreate,
  ): Promise<{ member: Member; firstPassword: string }> {
    const { directory } = this.#deps;
    const existing = await directory.find(draft.username);
    if (existing !== null)
      return {
        member: await this.#add(caller, tenantId, { account: existing, roles: draft.roles }),
        firstPassword: '',
      };
    const { account, firstPassword } = await directory.create(draft);
    try {
      return { member: await this.#add(caller, tenantId, { account, roles: draft.roles }), firstPassword };
    } catch (error) {
      // Nobody has seen the first password: an account left behind could never be used.
      await directory.remove(account.subject).catch(() => undefined);
      throw error;
    }
  }

  /** Errors: not_found, precondition_failed, transition_refused for the last administrator. */
  async update(
    caller: Caller,
    tenantId: string,
    change: { personId: string; version: number; roles: readonly Role[] },
  ): Promise<Member> {
    const member = await this.#deps.db.inTenant(tenantId, async (tx) => {
      const before = found(await repository.getMember(tx, change.personId));
      if (!change.roles.includes('tenant_admin')) await this.#keepAdministrator(tx, change.personId);
      if (!(await repository.setRoles(tx, change))) throw new AppError('precondition_failed');
      await this.#record(tx, caller, {
        action: 'member.updated',
        personId: change.personId,
        details: { from: before.roles, roles: change.roles },
      });
      return found(await repository.getMember(tx, change.personId));
    });
    this.#deps.forget();
    return member;
  }

  /** Errors: not_found, transition_refused for the last administrator. */
  async remove(caller: Caller, tenantId: string, personId: string): Promise<void> {
    await this.#deps.db.inTenant(tenantId, async (tx) => {
      const member = found(await repository.getMember(tx, personId));
      await this.#keepAdministrator(tx, personId);
      await repository.removeMember(tx, personId);
      await this.#record(tx, caller, {
        action: 'member.removed',
        personId,
        details: { roles: member.roles },
      });
    });
    this.#deps.forget();
  }

  /** Gives an account roles in the tenant. Errors: already_exists. */
  async #add(
    caller: Caller,
    tenantId: string,
    { account, roles }: { account: Account; roles: readonly Role[] },
  ): Promise<Member> {
    const { db, newId } = this.#deps;
    const personId = await db.inSystem('access.ensurePerson', (tx) =>
      ensurePerson(tx, newId(), { ...account, locale: 'fr' }),
    );
    try {
      const member = await db.inTenant(tenantId, async (tx) => {
        await repository.addMember(tx, personId, roles);
        await this.#record(tx, caller, { action: 'member.created', personId, details: { roles } });
        return found(await repository.getMember(tx, personId));
      });
      this.#deps.forget();
      return member;
    } catch (error) {
      if (isUniqueViolation(error, 'memberships_pkey'))
        throw new AppError('already_exists', { cause: error });
      throw error;
    }
  }

  async #keepAdministrator(tx: TenantTx, personId: string): Promise<void> {
    const administrators = await repository.lockAdministrators(tx);
    if (administrators.length === 1 && administrators[0] === personId) {
      throw new AppError('transition_refused', { detail: 'a tenant keeps at least one administrator' });
    }
  }

  async #record(
    tx: TenantTx,
    caller: Caller,
    entry: {
      action: 'member.created' | 'member.updated' | 'member.removed';
      personId: string;
      details: Record<string, unknown>;
    },
  ): Promise<void> {
    await this.#deps.audit.record(tx, {
      ...actorOf(caller),
      action: entry.action,
      subjectType: 'person',
      subjectId: entry.personId,
      outcome: 'ok',
      digest: null,
      details: entry.details,
    });
  }
}
