import { rolePermissions } from '#contract/access.ts';
import type { Calendar } from '#contract/calendar.ts';
import { toInstant } from '../../platform/clock.ts';
import { endEntries, personalEntries, ruleEntries, workEntries } from './entries.policy.ts';
import type { FeedsDeps } from './feeds.deps.ts';
import { endsOf, plansMadeAt, rulesRevisedAt, runsRevisedAt, workOf } from './feeds.read-model.ts';
import type { PersonalWork, Range } from './feeds.read-model.ts';
import type { FeedRow } from './feeds.repository.ts';
import { sayMine } from './feeds.words.ts';
import { icsOf } from './ics.policy.ts';

const dayMs = 86_400_000;
/** A calendar program sees the last week and the next eight. */
const span = { behindMs: 6 * dayMs, aheadMs: 56 * dayMs };

type ContentsDeps = Pick<FeedsDeps, 'db' | 'clock' | 'publicUrl' | 'calendar' | 'trust'>;
type PersonRow = FeedRow & { readonly personId: string };

/** What is in a feed at the moment when it is read. */
export class FeedContents {
  readonly #deps: ContentsDeps;

  constructor(deps: ContentsDeps) {
    this.#deps = deps;
  }

  /** Windows, freezes, plans and runs of a site. Reasons, hosts and people are not in it. */
  async ofSite(tenantId: string, { siteId, siteName }: FeedRow): Promise<string> {
    const calendar = await this.#calendar(tenantId);
    const revisions = await this.#deps.db.inTenant(tenantId, async (tx) => ({
      rulesAt: await rulesRevisedAt(tx),
      plans: await plansMadeAt(
        tx,
        calendar.plans.map(({ planId }) => planId),
      ),
      runs: await runsRevisedAt(
        tx,
        calendar.runs.map(({ runId }) => runId),
      ),
    }));
    const site = siteId ?? '';
    return icsOf({ name: `ATLAS · ${siteName ?? ''}`, locale: 'fr' }, [
      ...ruleEntries(calendar, [site], { locale: 'fr', revisedAt: revisions.rulesAt }),
      ...workEntries(calendar, site, revisions),
    ]);
  }

  /** What concerns a person, of what his roles let him see today. */
  async ofPerson(tenantId: string, row: PersonRow): Promise<string> {
    const { personId, siteIds } = row;
    const locale = row.locale ?? 'fr';
    const held = new Set((row.roles ?? []).flatMap((role) => rolePermissions[role]));
    const range = this.#range();
    const { works, ends, keys, rulesAt, tenantName } = await this.#deps.db.inTenant(tenantId, async (tx) => {
      const maySign = held.has('releases.sign') && held.has('releases.read');
      const tenant = await tx
        .selectFrom('tenants')
        .select('name')
        .where('id', '=', tenantId)
        .executeTakeFirst();
      return {
        works: held.has('plans.read') && held.has('runs.read') ? await workOf(tx, personId, range) : [],
        ends: held.has('exceptions.read') ? await endsOf(tx, personId, range) : [],
        keys: maySign ? await this.#deps.trust.keysOfPerson(tx, personId) : [],
        rulesAt: await rulesRevisedAt(tx),
        tenantName: tenant?.name ?? '',
      };
    });
    const rules =
      siteIds.length === 0
        ? []
        : ruleEntries(await this.#calendar(tenantId), siteIds, { locale, revisedAt: rulesAt });
    const signing = { nowMs: this.#deps.clock.now(), classes: keys.flatMap(({ classes }) => classes) };
    const page = (path: string): string => `${this.#deps.publicUrl}/t/${tenantId}/${path}`;
    const pageOf = ({ runId, releaseId, planId }: PersonalWork): string =>
      page(
        runId !== null ? `runs/${runId}` : releaseId !== null ? `releases/${releaseId}` : `plans/${planId}`,
      );
    return icsOf({ name: sayMine(locale, tenantName), locale }, [
      ...personalEntries(works, signing, { locale, pageOf }),
      ...endEntries(ends, { locale, url: page('exceptions') }),
      ...rules,
    ]);
  }

  #range(): Range {
    const nowMs = this.#deps.clock.now();
    return { from: new Date(nowMs - span.behindMs), to: new Date(nowMs + span.aheadMs) };
  }

  #calendar(tenantId: string): Promise<Calendar> {
    const { from, to } = this.#range();
    return this.#deps.calendar.calendar(tenantId, { from: toInstant(from), to: toInstant(to) });
  }
}
