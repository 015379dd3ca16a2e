import type { Role } from '#contract/access.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Db } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Account } from './identityDirectory.ts';
import { addMember, getMember } from './members.repository.ts';
import { ensurePerson, setPlatformAdmin } from './people.repository.ts';

interface BootstrapDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly newId: NewId;
}

/** Gives an account its place in a tenant when it has none; the program's owner does it, so the actor is the system. */
export async function bootstrapMember(
  deps: BootstrapDeps,
  tenantId: string,
  draft: { readonly account: Account; readonly locale: 'fr' | 'en'; readonly roles: readonly Role[] },
): Promise<string> {
  const { db, audit, newId } = deps;
  const { account, locale, roles } = draft;
  const personId = await db.inSystem('access.bootstrapPerson', async (tx) => {
    const id = await ensurePerson(tx, newId(), { ...account, locale });
    if (roles.includes('platform_admin')) await setPlatformAdmin(tx, id);
    return id;
  });
  const here = roles.filter((role) => role !== 'platform_admin');
  await db.inTenant(tenantId, async (tx) => {
    if ((await getMember(tx, personId)) !== null) return;
    await addMember(tx, personId, here);
    await audit.record(tx, {
      action: 'member.created',
      actorKind: 'system',
      actorId: null,
      subjectType: 'person',
      subjectId: personId,
      outcome: 'ok',
      digest: null,
      details: { roles, by: 'bootstrap' },
    });
  });
  return personId;
}
