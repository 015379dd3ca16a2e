import { sql } from 'kysely';
import type { Notice, NoticeSettingsBody } from '#contract/notices.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';
import type { NoticeFacts } from './notices.mail.ts';
import { daysBetween, defaultRoles, type Wanted } from './notices.policy.ts';

type MailState = Notice['mails'][number]['state'];

export interface NoticeRow {
  readonly id: string;
  readonly planId: string;
  readonly runId: string;
  readonly kind: Notice['kind'];
  readonly state: Notice['state'];
  readonly facts: NoticeFacts;
  readonly dueAt: Date;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
  readonly withoutAddress: number;
}

/** Version 0 while nobody has said anything. */
export async function getSettings(tx: TenantTx): Promise<NoticeSettingsBody & { readonly version: number }> {
  const row = await tx
    .selectFrom('notice_settings')
    .select(['roles', 'addresses', 'version'])
    .executeTakeFirst();
  if (row === undefined) return { roles: [...defaultRoles], addresses: [], version: 0 };
  const addresses = row.addresses as unknown as NoticeSettingsBody['addresses'];
  return { roles: row.roles as NoticeSettingsBody['roles'], addresses, version: row.version };
}

/** False when the row has another version than the one that was read. */
export async function saveSettings(
  tx: TenantTx,
  { roles, addresses }: NoticeSettingsBody,
  version: number,
): Promise<boolean> {
  const values = { roles: [...roles], addresses: JSON.stringify(addresses) };
  if (version === 0) {
    const made = await tx
      .insertInto('notice_settings')
      .values(values)
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    return made.numInsertedOrUpdatedRows === 1n;
  }
  const done = await tx
    .updateTable('notice_settings')
    .set(values)
    .where('version', '=', version)
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}

/** Which of these sites are not here. */
export async function absentSites(tx: TenantTx, siteIds: readonly string[]): Promise<Set<string>> {
  if (siteIds.length === 0) return new Set();
  const rows = await tx
    .selectFrom('sites')
    .select('id')
    .where('id', 'in', [...siteIds])
    .execute();
  const here = new Set(rows.map(({ id }) => id));
  return new Set(siteIds.filter((id) => !here.has(id)));
}

/** Sites of these hosts by name, the run's number and the tenant's name: what a mail says beside the plan. */
export async function surroundings(
  tx: TenantTx,
  { runId, hostIds }: { readonly runId: string; readonly hostIds: readonly string[] },
) {
  const sites = await tx
    .selectFrom('sites')
    .select(['id', 'name', 'time_zone as timeZone'])
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('hosts')
        .select('site_id')
        .where('hosts.id', 'in', [...hostIds]),
    )
    .orderBy('name')
    .execute();
  const { number } = await tx
    .selectFrom('runs')
    .select('number')
    .where('id', '=', runId)
    .executeTakeFirstOrThrow();
  const { name } = await tx.selectFrom('tenants').select('name').executeTakeFirstOrThrow();
  return { sites, runNumber: number, tenantName: name };
}

function selectNotices(tx: TenantTx) {
  return tx
    .selectFrom('notices')
    .select([
      ...(['id', 'plan_id as planId', 'run_id as runId', 'due_at as dueAt'] as const),
      sql<Notice['kind']>`kind`.as('kind'),
      sql<Notice['state']>`state`.as('state'),
      sql<NoticeFacts>`facts`.as('facts'),
      ...(['created_at as createdAt', 'ended_at as endedAt', 'without_address as withoutAddress'] as const),
    ]);
}

/** False when this run has such a notice already. */
export async function createNotice(
  tx: TenantTx,
  notice: Pick<NoticeRow, 'id' | 'planId' | 'runId' | 'kind' | 'facts' | 'dueAt'>,
): Promise<boolean> {
  const { id, planId, runId, kind, facts, dueAt } = notice;
  const made = await tx
    .insertInto('notices')
    .values({ id, plan_id: planId, run_id: runId, kind, facts: JSON.stringify(facts), due_at: dueAt })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return made.numInsertedOrUpdatedRows === 1n;
}

/** The notices that announced a run, held still until the transaction ends. */
export function lockAnnouncements(tx: TenantTx, runId: string): Promise<NoticeRow[]> {
  return selectNotices(tx)
    .where('run_id', '=', runId)
    .where('kind', 'in', ['planned', 'emergency'])
    .forUpdate()
    .execute();
}

export async function lockNotice(tx: TenantTx, noticeId: string): Promise<NoticeRow> {
  return selectNotices(tx).where('id', '=', noticeId).forUpdate().executeTakeFirstOrThrow();
}

export async function saveNotice(
  tx: TenantTx,
  noticeId: string,
  change: {
    readonly state: Notice['state'];
    readonly endedAt?: Date;
    readonly withoutAddress?: number;
  },
): Promise<void> {
  const { state, endedAt, withoutAddress } = change;
  await tx
    .updateTable('notices')
    .set({
      state,
      ...(endedAt === undefined ? {} : { ended_at: endedAt }),
      ...(withoutAddress === undefined ? {} : { without_address: withoutAddress }),
    })
    .where('id', '=', noticeId)
    .execute();
}

/** Members of these roles who may sign in; without an address they cannot be written to. */
export async function membersOf(
  tx: TenantTx,
  roles: readonly string[],
): Promise<{ readonly personId: string; readonly address: string | null; readonly locale: 'fr' | 'en' }[]> {
  if (roles.length === 0) return [];
  const rows = await tx
    .selectFrom('memberships as m')
    .innerJoin('people as p', 'p.id', 'm.person_id')
    .select(['p.id as personId', 'p.email as address', sql<'fr' | 'en'>`p.locale`.as('locale')])
    .where(sql<boolean>`m.roles && ${[...roles]}::text[]`)
    .where('p.disabled_at', 'is', null)
    .execute();
  return rows;
}

/** Those who were told of this run, or may have been. */
export async function toldOf(tx: TenantTx, runId: string): Promise<Wanted[]> {
  return tx
    .selectFrom('notice_mails as m')
    .innerJoin('notices as n', 'n.id', 'm.notice_id')
    .select(['m.person_id as personId', 'm.address', sql<'fr' | 'en'>`m.locale`.as('locale')])
    .where('n.run_id', '=', runId)
    .where('n.kind', 'in', ['planned', 'emergency'])
    .where((eb) => eb.or([eb('m.state', 'in', ['sent', 'sending']), eb('m.maybe_twice', '=', true)]))
    .execute();
}

/** True when people were told, or are being told, that an announced run does not take place. */
export async function isTakenBack(tx: TenantTx, runId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('notices')
    .select('id')
    .where('run_id', '=', runId)
    .where('kind', 'in', ['cancelled', 'postponed', 'missed'])
    .executeTakeFirst();
  return row !== undefined;
}

export async function createMails(
  tx: TenantTx,
  noticeId: string,
  mails: readonly (Wanted & { readonly id: string; readonly nextAttemptAt: Date })[],
): Promise<void> {
  if (mails.length === 0) return;
  await tx
    .insertInto('notice_mails')
    .values(
      mails.map(({ id, personId, address, locale, nextAttemptAt }) => ({
        ...{ id, address, locale },
        ...{ notice_id: noticeId, person_id: personId, next_attempt_at: nextAttemptAt },
      })),
    )
    .execute();
}

/** Mails that wait for an attempt are taken back. */
export async function withdrawMails(tx: TenantTx, noticeId: string, at: Date): Promise<void> {
  await tx
    .updateTable('notice_mails')
    .set({ state: 'withdrawn', ended_at: at, next_attempt_at: null })
    .where('notice_id', '=', noticeId)
    .where('state', '=', 'waiting')
    .execute();
}

/** How many mails of a notice are in each state. */
export async function countMails(tx: TenantTx, noticeId: string): Promise<ReadonlyMap<MailState, number>> {
  const rows = await tx
    .selectFrom('notice_mails')
    .select((eb) => [sql<MailState>`state`.as('state'), eb.fn.countAll<number>().as('count')])
    .where('notice_id', '=', noticeId)
    .groupBy('state')
    .execute();
  return new Map(rows.map(({ state, count }) => [state, Number(count)]));
}

/** Notices of a plan with their mails, oldest first. */
export async function listNotices(tx: TenantTx, planId: string): Promise<Notice[]> {
  const notices = await selectNotices(tx).where('plan_id', '=', planId).orderBy('id').execute();
  const mails = await tx
    .selectFrom('notice_mails as m')
    .innerJoin('notices as n', 'n.id', 'm.notice_id')
    .leftJoin('people as p', 'p.id', 'm.person_id')
    .select(['m.id', 'm.notice_id', 'm.address', 'm.attempts', 'm.next_attempt_at', 'm.ended_at', 'm.reply'])
    .select(['m.maybe_twice', 'p.name as personName', sql<'fr' | 'en'>`m.locale`.as('locale')])
    .select(sql<MailState>`m.state`.as('state'))
    .where('n.plan_id', '=', planId)
    .orderBy(sql`lower(m.address)`)
    .execute();
  return notices.map(({ facts, planId: _planId, dueAt, createdAt, endedAt, ...notice }) => ({
    ...notice,
    dueAt: toInstant(dueAt),
    createdAt: toInstant(createdAt),
    endedAt: endedAt === null ? null : toInstant(endedAt),
    daysAhead: daysBetween(dueAt.getTime(), Date.parse(facts.notBefore)),
    mails: mails
      .filter(({ notice_id }) => notice_id === notice.id)
      .map((mail) => ({
        ...{ id: mail.id, personName: mail.personName, address: mail.address, locale: mail.locale },
        ...{ state: mail.state, attempts: mail.attempts, reply: mail.reply, maybeTwice: mail.maybe_twice },
        nextAttemptAt: mail.next_attempt_at === null ? null : toInstant(mail.next_attempt_at),
        endedAt: mail.ended_at === null ? null : toInstant(mail.ended_at),
      })),
  }));
}

/** Notices whose time has come. */
export function listDue(
  tx: SystemTx,
  now: Date,
): Promise<{ readonly id: string; readonly tenantId: string }[]> {
  return tx
    .selectFrom('notices')
    .select(['id', 'tenant_id as tenantId'])
    .where('state', '=', 'waiting')
    .where('due_at', '<=', now)
    .orderBy('due_at')
    .limit(50)
    .execute();
}

export interface ClaimedMail {
  readonly id: string;
  readonly tenantId: string;
  readonly noticeId: string;
  readonly personId: string | null;
  readonly address: string;
  readonly locale: 'fr' | 'en';
  readonly attempts: number;
}

/** Mails in whose conversation a process died: whether the relay took them is not known. */
export async function returnLost(tx: SystemTx, now: Date): Promise<void> {
  await tx
    .updateTable('notice_mails')
    .set({ state: 'waiting', maybe_twice: true, next_attempt_at: now, lease_until: null })
    .where('state', '=', 'sending')
    .where('lease_until', '<', now)
    .execute();
}

/** Takes due mails for this process; nobody else sends them until the lease ends. */
export async function claimMails(
  tx: SystemTx,
  { now, leaseUntil, limit }: { readonly now: Date; readonly leaseUntil: Date; readonly limit: number },
): Promise<ClaimedMail[]> {
  return tx
    .updateTable('notice_mails')
    .set({
      state: 'sending',
      attempts: sql<number>`attempts + 1`,
      lease_until: leaseUntil,
      next_attempt_at: null,
    })
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('notice_mails')
        .select('id')
        .where('state', '=', 'waiting')
        .where('next_attempt_at', '<=', now)
        .orderBy('next_attempt_at')
        .limit(limit)
        .forUpdate()
        .skipLocked(),
    )
    .returning(['id', 'tenant_id as tenantId', 'notice_id as noticeId', 'person_id as personId', 'address'])
    .returning([sql<'fr' | 'en'>`locale`.as('locale'), 'attempts'])
    .execute();
}

/** Writes what became of an attempt. False when the lease had ended and somebody else took the mail. */
export async function saveAttempt(
  tx: TenantTx,
  mail: Pick<ClaimedMail, 'id' | 'attempts'>,
  result: {
    readonly state: 'waiting' | 'sent' | 'failed' | 'withdrawn';
    readonly reply: string | null;
    readonly nextAttemptAt: Date | null;
    readonly endedAt: Date | null;
    readonly answerLost: boolean;
  },
): Promise<boolean> {
  const done = await tx
    .updateTable('notice_mails')
    .set({
      ...{ state: result.state, lease_until: null },
      ...(result.reply === null ? {} : { reply: result.reply }),
      ...{ next_attempt_at: result.nextAttemptAt, ended_at: result.endedAt },
      ...(result.answerLost ? { maybe_twice: true } : {}),
    })
    .where('id', '=', mail.id)
    .where('state', '=', 'sending')
    .where('attempts', '=', mail.attempts)
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}
