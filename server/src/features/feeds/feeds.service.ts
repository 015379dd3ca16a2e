import { createHash, randomBytes } from 'node:crypto';
import { rolePermissions, type Permission } from '#contract/access.ts';
import { maxFeedsOfPerson, type CalendarFeed } from '#contract/feeds.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import { isUuid } from '../../platform/ids.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import type { FeedsDeps } from './feeds.deps.ts';
import { FeedContents } from './feeds.contents.ts';
import * as repository from './feeds.repository.ts';
import type { FeedRow } from './feeds.repository.ts';

type FeedAction = 'calendar_feed.created' | 'calendar_feed.renewed' | 'calendar_feed.revoked';

/** What is made once and shown once. */
interface Made {
  readonly feed: CalendarFeed;
  readonly url: string;
}

const readNotedMs = 15 * 60_000;

const digest = (token: string): Buffer => createHash('sha256').update(token).digest();

/** The tenant, then 256 random bits: a token leads to its tenant without a look into others. */
function newToken(tenantId: string): string {
  return Buffer.concat([Buffer.from(tenantId.replaceAll('-', ''), 'hex'), randomBytes(32)]).toString(
    'base64url',
  );
}

function tenantOf(token: string): string {
  const hex = Buffer.from(token, 'base64url').subarray(0, 16).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function isReadable({ personId, roles, disabledAt }: FeedRow): boolean {
  if (personId === null) return true;
  const held = new Set<Permission>((roles ?? []).flatMap((role) => rolePermissions[role]));
  return disabledAt === null && held.has('windows.read');
}

/** Calendar addresses of sites and of people: made, renewed, listed, revoked, and read by whoever holds one. */
export class FeedsService {
  readonly #deps: FeedsDeps;
  readonly #contents: FeedContents;

  constructor(deps: FeedsDeps) {
    this.#deps = deps;
    this.#contents = new FeedContents(deps);
  }

  /** Newest first. */
  async list(tenantId: string, asked: repository.FeedsAsked, page: IdPage) {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listFeeds(tx, asked, page);
      return pageOf(rows, page.limit, { item: repository.toFeed, keys: byId });
    });
  }

  /** The address is in the answer and nowhere else. Errors: invalid_request for a site that is not here. */
  async createOfSite(actor: TenantActor, siteId: string): Promise<Made> {
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      await this.#checkSites(tx, [siteId], '/body/siteId');
      return this.#create(tx, actor, { siteId });
    });
  }

  /** The same for the caller himself. Errors: forbidden for a machine, conflict above five, invalid_request. */
  async createMine(actor: TenantActor, siteIds: readonly string[]): Promise<Made> {
    if (actor.kind !== 'person') throw new AppError('forbidden');
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      await this.#checkSites(tx, siteIds, '/body/siteIds');
      if ((await repository.countLive(tx, actor.id)) >= maxFeedsOfPerson)
        throw new AppError('conflict', {
          detail: `${maxFeedsOfPerson} addresses are live: revoke one first`,
        });
      return this.#create(tx, actor, { personId: actor.id, siteIds });
    });
  }

  /** A new secret; the one before opens nothing from then on. Nobody but its person renews a person's. Errors: not_found. */
  async renew(actor: TenantActor, feedId: string, whose: 'site' | 'mine'): Promise<Made> {
    const token = newToken(actor.tenantId);
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const before = this.#owned(await repository.getFeed(tx, feedId), actor, whose);
      const change = { tokenSha256: digest(token), at: new Date(this.#deps.clock.now()) };
      if (!(await repository.renewFeed(tx, feedId, change))) throw new AppError('not_found');
      await this.#record(tx, actor, ['calendar_feed.renewed', before]);
      return this.#made(tx, feedId, token);
    });
  }

  /** `any`: who manages windows ends every address, a person's too. Errors: not_found. */
  async revoke(actor: TenantActor, feedId: string, whose: 'any' | 'mine'): Promise<void> {
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const feed = this.#owned(await repository.getFeed(tx, feedId), actor, whose);
      await repository.revokeFeed(tx, feedId, new Date(this.#deps.clock.now()));
      await this.#record(tx, actor, ['calendar_feed.revoked', feed]);
    });
  }

  /** iCalendar. Errors: not_found for a token that opens nothing, nothing any more, or for somebody who may read no longer. */
  async read(token: string): Promise<string> {
    const tenantId = tenantOf(token);
    if (!isUuid(tenantId)) throw new AppError('not_found');
    const nowMs = this.#deps.clock.now();
    const feed = await this.#deps.db.inTenant(tenantId, async (tx) => {
      const row = found(await repository.findFeed(tx, digest(token)));
      if (!isReadable(row)) throw new AppError('not_found');
      if (nowMs - (row.lastReadAt?.getTime() ?? 0) > readNotedMs)
        await repository.noteRead(tx, row.id, new Date(nowMs));
      return row;
    });
    return feed.personId === null
      ? this.#contents.ofSite(tenantId, feed)
      : this.#contents.ofPerson(tenantId, { ...feed, personId: feed.personId });
  }

  async #checkSites(tx: TenantTx, siteIds: readonly string[], path: string): Promise<void> {
    if ((await repository.countSites(tx, siteIds)) === siteIds.length) return;
    const field = { path, rule: 'exists', message: 'there is no such site here' };
    throw new AppError('invalid_request', { fields: [field] });
  }

  #owned(feed: FeedRow | null, actor: TenantActor, whose: 'any' | 'site' | 'mine'): FeedRow {
    const row = found(feed);
    const ours = whose === 'any' || (whose === 'site' ? row.personId === null : row.personId === actor.id);
    if (!ours) throw new AppError('not_found');
    return row;
  }

  async #create(tx: TenantTx, actor: TenantActor, of: repository.FeedDraft['of']): Promise<Made> {
    const [token, id] = [newToken(actor.tenantId), this.#deps.newId()];
    await repository.createFeed(tx, { id, of, tokenSha256: digest(token), createdBy: actor.id });
    const made = await this.#made(tx, id, token);
    await this.#record(tx, actor, ['calendar_feed.created', made.feed]);
    return made;
  }

  async #made(tx: TenantTx, feedId: string, token: string): Promise<Made> {
    const feed = repository.toFeed(found(await repository.getFeed(tx, feedId)));
    return { feed, url: `${this.#deps.publicUrl}/api/v1/calendar-feeds/${token}` };
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    [action, feed]: readonly [FeedAction, Pick<FeedRow, 'id' | 'siteId' | 'personId' | 'siteIds'>],
  ): Promise<void> {
    const { id, siteId, personId, siteIds } = feed;
    await this.#deps.audit.record(tx, {
      action,
      ...actorOf(actor),
      subjectType: 'calendar_feed',
      subjectId: id,
      outcome: 'ok',
      digest: null,
      details: personId === null ? { siteId } : { personId, siteIds },
    });
  }
}
