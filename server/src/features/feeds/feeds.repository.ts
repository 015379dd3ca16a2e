import type { Role } from '#contract/access.ts';
import type { CalendarFeed } from '#contract/feeds.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

function selectFeeds(tx: TenantTx) {
  return tx
    .selectFrom('calendar_feeds as f')
    .leftJoin('sites as s', 's.id', 'f.site_id')
    .leftJoin('people as p', 'p.id', 'f.created_by')
    .leftJoin('people as o', 'o.id', 'f.person_id')
    .leftJoin('memberships as m', 'm.person_id', 'f.person_id')
    .select([
      ...(['f.id as id', 'f.site_id as siteId', 's.name as siteName', 's.time_zone as timeZone'] as const),
      ...(['f.person_id as personId', 'o.name as personName', 'f.site_ids as siteIds'] as const),
      ...(['f.created_by as createdBy', 'p.name as createdByName'] as const),
      ...(['f.created_at as createdAt', 'f.renewed_at as renewedAt'] as const),
      ...(['f.last_read_at as lastReadAt', 'f.revoked_at as revokedAt'] as const),
      ...(['o.locale as locale', 'o.disabled_at as disabledAt', 'm.roles as roles'] as const),
    ])
    .$narrowType<{ locale: 'fr' | 'en' | null; roles: Role[] | null }>();
}

export type FeedRow = Awaited<ReturnType<ReturnType<typeof selectFeeds>['executeTakeFirstOrThrow']>>;

const instant = (at: Date | null): string | null => (at === null ? null : toInstant(at));

export function toFeed(row: FeedRow): CalendarFeed {
  return {
    id: row.id,
    kind: row.personId === null ? 'site' : 'person',
    siteId: row.siteId,
    siteName: row.siteName,
    personId: row.personId,
    personName: row.personName,
    siteIds: row.siteIds,
    createdBy: row.createdBy,
    createdByName: row.createdByName,
    createdAt: toInstant(row.createdAt),
    renewedAt: instant(row.renewedAt),
    lastReadAt: instant(row.lastReadAt),
    revokedAt: instant(row.revokedAt),
  };
}

/** `all`: sites and everybody. `sites`: sites, and the caller's own. `own`: the caller's own alone. */
export interface FeedsAsked {
  readonly which: 'all' | 'sites' | 'own';
  readonly callerId: string;
}

/** Newest first; one row more than `limit` when there is another page. */
export function listFeeds(tx: TenantTx, asked: FeedsAsked, page: IdPage): Promise<FeedRow[]> {
  const { which, callerId } = asked;
  let query = selectFeeds(tx);
  if (which === 'own') query = query.where('f.person_id', '=', callerId);
  if (which === 'sites')
    query = query.where((eb) => eb.or([eb('f.person_id', 'is', null), eb('f.person_id', '=', callerId)]));
  if (page.before !== null) query = query.where('f.id', '<', page.before);
  return query
    .orderBy('f.id', 'desc')
    .limit(page.limit + 1)
    .execute();
}

export async function getFeed(tx: TenantTx, feedId: string): Promise<FeedRow | null> {
  return (await selectFeeds(tx).where('f.id', '=', feedId).executeTakeFirst()) ?? null;
}

/** The feed that this token opens; null when there is none or it is revoked. */
export async function findFeed(tx: TenantTx, tokenSha256: Buffer): Promise<FeedRow | null> {
  const row = await selectFeeds(tx)
    .where('f.token_sha256', '=', tokenSha256)
    .where('f.revoked_at', 'is', null)
    .executeTakeFirst();
  return row ?? null;
}

/** Live addresses of a person. The membership is locked, so that two requests at once are counted one after the other. */
export async function countLive(tx: TenantTx, personId: string): Promise<number> {
  await tx.selectFrom('memberships').select('roles').where('person_id', '=', personId).forUpdate().execute();
  const { live } = await tx
    .selectFrom('calendar_feeds')
    .select((eb) => eb.fn.countAll<number>().as('live'))
    .where('person_id', '=', personId)
    .where('revoked_at', 'is', null)
    .executeTakeFirstOrThrow();
  return Number(live);
}

export interface FeedDraft {
  readonly id: string;
  /** Of a site, or of a person with the sites of choice. */
  readonly of:
    { readonly siteId: string } | { readonly personId: string; readonly siteIds: readonly string[] };
  readonly tokenSha256: Buffer;
  readonly createdBy: string;
}

export async function createFeed(tx: TenantTx, { id, of, tokenSha256, createdBy }: FeedDraft): Promise<void> {
  const owner =
    'siteId' in of ? { site_id: of.siteId } : { person_id: of.personId, site_ids: [...of.siteIds] };
  await tx
    .insertInto('calendar_feeds')
    .values({ id, token_sha256: tokenSha256, created_by: createdBy, ...owner })
    .execute();
}

/** False when the feed is revoked: it stays so. */
export async function renewFeed(
  tx: TenantTx,
  feedId: string,
  change: { readonly tokenSha256: Buffer; readonly at: Date },
): Promise<boolean> {
  const done = await tx
    .updateTable('calendar_feeds')
    .set({ token_sha256: change.tokenSha256, renewed_at: change.at, last_read_at: null })
    .where('id', '=', feedId)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  return done.numUpdatedRows > 0n;
}

export async function revokeFeed(tx: TenantTx, feedId: string, at: Date): Promise<void> {
  await tx
    .updateTable('calendar_feeds')
    .set({ revoked_at: at })
    .where('id', '=', feedId)
    .where('revoked_at', 'is', null)
    .execute();
}

/** Notes that it was read. */
export async function noteRead(tx: TenantTx, feedId: string, at: Date): Promise<void> {
  await tx.updateTable('calendar_feeds').set({ last_read_at: at }).where('id', '=', feedId).execute();
}

/** How many of these sites there are. */
export async function countSites(tx: TenantTx, siteIds: readonly string[]): Promise<number> {
  if (siteIds.length === 0) return 0;
  const { sites } = await tx
    .selectFrom('sites')
    .select((eb) => eb.fn.countAll<number>().as('sites'))
    .where('id', 'in', [...siteIds])
    .executeTakeFirstOrThrow();
  return Number(sites);
}
