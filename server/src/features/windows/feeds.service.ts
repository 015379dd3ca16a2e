import { createHash, randomBytes } from 'node:crypto';
import type { CalendarFeed } from '#contract/feeds.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import { isUuid } from '../../platform/ids.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import * as repository from './feeds.repository.ts';
import { icsOf } from './ics.policy.ts';
import type { RulesDeps } from './rules.service.ts';
import { siteExists } from './windows.repository.ts';
import type { WindowsService } from './windows.service.ts';

export interface FeedsDeps extends RulesDeps {
  /** Origin of the people's listener, without a slash at the end. */
  readonly publicUrl: string;
}

const dayMs = 86_400_000;
/** A calendar program sees the last week and the next eight. */
const span = { behindMs: 6 * dayMs, aheadMs: 56 * dayMs };

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

/** Calendar addresses of sites: made, listed, revoked, and read by whoever holds one. */
export class FeedsService {
  readonly #deps: FeedsDeps;
  readonly #windows: WindowsService;

  constructor(deps: FeedsDeps, windows: WindowsService) {
    this.#deps = deps;
    this.#windows = windows;
  }

  /** Newest first. */
  async list(tenantId: string, page: IdPage) {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listFeeds(tx, page);
      return pageOf(rows, page.limit, { item: repository.toFeed, keys: byId });
    });
  }

  /** The address is in the answer and nowhere else. Errors: invalid_request for a site that is not here. */
  async create(actor: TenantActor, siteId: string): Promise<{ feed: CalendarFeed; url: string }> {
    const { db, newId, publicUrl } = this.#deps;
    const token = newToken(actor.tenantId);
    const id = newId();
    return db.inTenant(actor.tenantId, async (tx) => {
      if (!(await siteExists(tx, siteId))) {
        const field = { path: '/body/siteId', rule: 'exists', message: 'there is no such site here' };
        throw new AppError('invalid_request', { fields: [field] });
      }
      await repository.createFeed(tx, { id, siteId, tokenSha256: digest(token), createdBy: actor.id });
      await this.#record(tx, actor, ['calendar_feed.created', { id, siteId }]);
      const feed = repository.toFeed(found(await repository.getFeed(tx, id)));
      return { feed, url: `${publicUrl}/api/v1/calendar-feeds/${token}` };
    });
  }

  /** Errors: not_found. */
  async revoke(actor: TenantActor, feedId: string): Promise<void> {
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const { siteId } = found(await repository.getFeed(tx, feedId));
      await repository.revokeFeed(tx, feedId, new Date(this.#deps.clock.now()));
      await this.#record(tx, actor, ['calendar_feed.revoked', { id: feedId, siteId }]);
    });
  }

  /** The site's times as iCalendar. Errors: not_found for a token that opens nothing, or nothing any more. */
  async read(token: string): Promise<string> {
    const tenantId = tenantOf(token);
    if (!isUuid(tenantId)) throw new AppError('not_found');
    const feed = found(
      await this.#deps.db.inTenant(tenantId, (tx) => repository.findFeed(tx, digest(token))),
    );
    const nowMs = this.#deps.clock.now();
    const [from, to] = [nowMs - span.behindMs, nowMs + span.aheadMs].map((ms) => new Date(ms).toISOString());
    const calendar = await this.#windows.calendar(tenantId, { from: from ?? '', to: to ?? '' });
    const site = { id: feed.siteId, name: feed.siteName, timeZone: feed.timeZone };
    return icsOf(site, calendar, new Date(nowMs));
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    [action, { id, siteId }]: readonly [
      'calendar_feed.created' | 'calendar_feed.revoked',
      { readonly id: string; readonly siteId: string },
    ],
  ): Promise<void> {
    await this.#deps.audit.record(tx, {
      action,
      ...actorOf(actor),
      subjectType: 'calendar_feed',
      subjectId: id,
      outcome: 'ok',
      digest: null,
      details: { siteId },
    });
  }
}
