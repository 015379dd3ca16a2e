import type { CalendarFeed } from '#contract/feeds.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

function selectFeeds(tx: TenantTx) {
  return tx
    .selectFrom('calendar_feeds as f')
    .innerJoin('sites as s', 's.id', 'f.site_id')
    .leftJoin('people as p', 'p.id', 'f.created_by')
    .select([
      'f.id as id',
      'f.site_id as siteId',
      's.name as siteName',
      's.time_zone as timeZone',
      'f.created_by as createdBy',
      'p.name as createdByName',
      'f.created_at as createdAt',
      'f.revoked_at as revokedAt',
    ]);
}

type FeedRow = Awaited<ReturnType<ReturnType<typeof selectFeeds>['executeTakeFirstOrThrow']>>;

export function toFeed({ timeZone: _timeZone, createdAt, revokedAt, ...feed }: FeedRow): CalendarFeed {
  return {
    ...feed,
    createdAt: toInstant(createdAt),
    revokedAt: revokedAt === null ? null : toInstant(revokedAt),
  };
}

/** Newest first; one row more than `limit` when there is another page. */
export function listFeeds(tx: TenantTx, page: IdPage): Promise<FeedRow[]> {
  let query = selectFeeds(tx);
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

export async function createFeed(
  tx: TenantTx,
  feed: {
    readonly id: string;
    readonly siteId: string;
    readonly tokenSha256: Buffer;
    readonly createdBy: string;
  },
): Promise<void> {
  await tx
    .insertInto('calendar_feeds')
    .values({ id: feed.id, site_id: feed.siteId, token_sha256: feed.tokenSha256, created_by: feed.createdBy })
    .execute();
}

export async function revokeFeed(tx: TenantTx, feedId: string, at: Date): Promise<void> {
  await tx
    .updateTable('calendar_feeds')
    .set({ revoked_at: at })
    .where('id', '=', feedId)
    .where('revoked_at', 'is', null)
    .execute();
}
