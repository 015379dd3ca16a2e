import { sql } from 'kysely';
import type { Role } from '#contract/access.ts';
import type { SystemTx } from '../../platform/db.ts';
import type { TokenClaims } from './tokens.verifier.ts';

export interface PersonRow {
  readonly id: string;
  readonly name: string;
  readonly email: string | null;
  readonly locale: 'fr' | 'en';
  readonly platformAdmin: boolean;
  readonly disabled: boolean;
}

export interface MembershipRow {
  readonly tenantId: string;
  readonly tenantName: string;
  readonly tenantColour: string;
  readonly roles: readonly Role[];
}

type Profile = Pick<TokenClaims, 'subject' | 'username' | 'name' | 'email' | 'locale'>;

/** Writes what the identity provider says of the person, and that the person was seen. */
export async function upsertPerson(tx: SystemTx, id: string, profile: Profile): Promise<PersonRow> {
  const { subject, username, name, email, locale } = profile;
  const row = await tx
    .insertInto('people')
    .values({ id, subject, username, name, email, locale, last_seen_at: sql`now()` })
    .onConflict((conflict) =>
      conflict.column('subject').doUpdateSet({ username, name, email, locale, last_seen_at: sql`now()` }),
    )
    .returning(['id', 'name', 'email', 'locale', 'platform_admin', 'disabled_at'])
    .executeTakeFirstOrThrow();
  return toPerson(row);
}

/** Prepares a person before the first sign-in; what is known of an existing one stays. */
export async function ensurePerson(tx: SystemTx, id: string, profile: Profile): Promise<string> {
  const { subject, username, name, email, locale } = profile;
  const row = await tx
    .insertInto('people')
    .values({ id, subject, username, name, email, locale })
    .onConflict((conflict) => conflict.column('subject').doUpdateSet({ username }))
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

export async function setPlatformAdmin(tx: SystemTx, personId: string): Promise<void> {
  await tx.updateTable('people').set({ platform_admin: true }).where('id', '=', personId).execute();
}

export async function findPerson(tx: SystemTx, subject: string): Promise<PersonRow | null> {
  const row = await tx
    .selectFrom('people')
    .select(['id', 'name', 'email', 'locale', 'platform_admin', 'disabled_at'])
    .where('subject', '=', subject)
    .executeTakeFirst();
  return row === undefined ? null : toPerson(row);
}

export async function getPerson(tx: SystemTx, personId: string): Promise<PersonRow | null> {
  const row = await tx
    .selectFrom('people')
    .select(['id', 'name', 'email', 'locale', 'platform_admin', 'disabled_at'])
    .where('id', '=', personId)
    .executeTakeFirst();
  return row === undefined ? null : toPerson(row);
}

export async function listMemberships(tx: SystemTx, personId: string): Promise<MembershipRow[]> {
  const rows = await tx
    .selectFrom('memberships')
    .innerJoin('tenants', 'tenants.id', 'memberships.tenant_id')
    .select(['tenants.id', 'tenants.name', 'tenants.colour', 'memberships.roles'])
    .where('memberships.person_id', '=', personId)
    .orderBy('tenants.name')
    .execute();
  return rows.map((row) => ({
    tenantId: row.id,
    tenantName: row.name,
    tenantColour: row.colour,
    roles: row.roles as Role[],
  }));
}

function toPerson(row: {
  id: string;
  name: string;
  email: string | null;
  locale: string;
  platform_admin: boolean;
  disabled_at: Date | null;
}): PersonRow {
  return {
    id: row.id,
    name: row.name,
    email: row.email,
    locale: row.locale === 'en' ? 'en' : 'fr',
    platformAdmin: row.platform_admin,
    disabled: row.disabled_at !== null,
  };
}

/** `new` at the first sight of a session, `known` later, `revoked` once the identity provider has ended it. */
export async function seeSession(
  tx: SystemTx,
  session: { sid: string; subject: string; expiresAt: Date },
): Promise<'new' | 'known' | 'revoked'> {
  const { sid, subject, expiresAt } = session;
  const known = await tx
    .selectFrom('sessions')
    .select(['revoked_at', 'subject'])
    .where('sid', '=', sid)
    .executeTakeFirst();
  if (known !== undefined) {
    if (known.revoked_at !== null || (known.subject !== '' && known.subject !== subject)) return 'revoked';
    return 'known';
  }
  const inserted = await tx
    .insertInto('sessions')
    .values({ sid, subject, expires_at: expiresAt })
    .onConflict((conflict) => conflict.doNothing())
    .returning('sid')
    .executeTakeFirst();
  return inserted === undefined ? 'known' : 'new';
}

/** Ends one session, or all of a person's; a session never seen is remembered as ended. Returns the subjects concerned. */
export async function revokeSessions(
  tx: SystemTx,
  ended: { sid: string | null; subject: string | null; expiresAt: Date },
): Promise<string[]> {
  if (ended.sid !== null) {
    const row = await tx
      .insertInto('sessions')
      .values({
        sid: ended.sid,
        subject: ended.subject ?? '',
        revoked_at: sql`now()`,
        expires_at: ended.expiresAt,
      })
      .onConflict((conflict) => conflict.column('sid').doUpdateSet({ revoked_at: sql`now()` }))
      .returning('subject')
      .executeTakeFirstOrThrow();
    return row.subject === '' ? [] : [row.subject];
  }
  await tx
    .updateTable('sessions')
    .set({ revoked_at: sql`now()` })
    .where('subject', '=', ended.subject ?? '')
    .where('revoked_at', 'is', null)
    .execute();
  return ended.subject === null ? [] : [ended.subject];
}

/** Forgets sessions of which no token can live any more. */
export async function removeDeadSessions(tx: SystemTx): Promise<void> {
  await tx
    .deleteFrom('sessions')
    .where('expires_at', '<', sql<Date>`now()`)
    .execute();
}
