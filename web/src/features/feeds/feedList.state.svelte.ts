import type { CalendarFeed } from '#contract/feeds.ts';
import { call } from '../../api.ts';
import { t } from '../../messages/translate.state.svelte.ts';
import { notices } from '../../notices.state.svelte.ts';
import { PagedList, keepListFresh } from '../../pagedList.state.svelte.ts';

interface Made {
  readonly feed: CalendarFeed;
  readonly url: string;
}

/** Calendar addresses: those of the client's sites and people, or the caller's own. */
export class FeedList {
  readonly list: PagedList<CalendarFeed>;
  /** The address that was just made; it is shown once and forgotten with the page. */
  made = $state.raw<Made | null>(null);
  busy = $state(false);
  readonly #tenantId: string;
  readonly #whose: 'site' | 'mine';

  constructor(tenantId: string, whose: 'site' | 'mine') {
    this.#tenantId = tenantId;
    this.#whose = whose;
    const route = whose === 'site' ? 'listCalendarFeeds' : 'listMyCalendarFeeds';
    this.list = new PagedList((cursor, signal) =>
      call(route, {
        params: { tenantId },
        query: { limit: 100, ...(cursor === null ? {} : { cursor }) },
        signal,
      }),
    );
  }

  get live(): readonly CalendarFeed[] {
    return this.list.items.filter(({ revokedAt }) => revokedAt === null);
  }

  keepFresh(): ReturnType<typeof keepListFresh> {
    return keepListFresh(this.list, []);
  }

  /** Makes or renews one and shows its address. */
  async show(make: () => Promise<Made>): Promise<void> {
    this.busy = true;
    try {
      this.made = await make();
      await this.list.reload();
    } catch (error) {
      notices.failed(error);
    } finally {
      this.busy = false;
    }
  }

  async renew({ id }: CalendarFeed): Promise<void> {
    const route = this.#whose === 'site' ? 'renewCalendarFeed' : 'renewMyCalendarFeed';
    await this.show(async () => {
      const made = await call(route, { params: { tenantId: this.#tenantId, feedId: id } });
      notices.done(t('feeds.renewed'));
      return made;
    });
  }

  async revoke({ id }: CalendarFeed): Promise<void> {
    const route = this.#whose === 'site' ? 'revokeCalendarFeed' : 'revokeMyCalendarFeed';
    try {
      await call(route, { params: { tenantId: this.#tenantId, feedId: id } });
      if (this.made?.feed.id === id) this.made = null;
      notices.done(t('feeds.revoked'));
      await this.list.reload();
    } catch (error) {
      notices.failed(error);
    }
  }
}
