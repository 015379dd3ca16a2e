import type { Calendar, Timeline } from '#contract/calendar.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { decodeCursor, encodeCursor, limitOf, type PageQuery } from '../../platform/page.ts';
import type { WindowsService } from '../windows/windows.module.ts';
import { composeCalendar, shownConflicts, type CalendarFacts } from './calendar.policy.ts';
import { calendarLimit, listGroups, plansBetween, runsBetween } from './calendar.read-model.ts';
import type { Range } from './calendar.read-model.ts';
import { exceptionView, laneView, namedHosts, workView, type LaneSource } from './timeline.policy.ts';
import * as lanes from './timeline.read-model.ts';
import type { HostsOf } from './timeline.read-model.ts';

export interface CalendarDeps {
  readonly db: Db;
  readonly windows: Pick<WindowsService, 'spansBetween'>;
}

/** What the caller may read; the rest is left out. */
export interface MayRead {
  readonly windows: boolean;
  readonly plans: boolean;
  readonly runs: boolean;
  readonly exceptions: boolean;
}

interface Asked extends PageQuery, HostsOf {
  readonly from: string;
  readonly to: string;
  readonly by: 'group' | 'site' | 'host';
}

const maxRangeMs = 62 * 86_400_000;
const everything: Omit<MayRead, 'exceptions'> = { windows: true, plans: true, runs: true };

function rangeOf(range: { readonly from: string; readonly to: string }): Range {
  const [fromMs, toMs] = [Date.parse(range.from), Date.parse(range.to)];
  if (toMs > fromMs && toMs - fromMs <= maxRangeMs) return { from: new Date(fromMs), to: new Date(toMs) };
  const field = { path: '/query/to', rule: 'range', message: 'must be later than from, at most 62 days' };
  throw new AppError('invalid_request', { fields: [field] });
}

/** What is on in a span of time: as one calendar, or in lanes. Reads only. */
export class CalendarService {
  readonly #deps: CalendarDeps;

  constructor(deps: CalendarDeps) {
    this.#deps = deps;
  }

  /** Errors: invalid_request when the range is empty or longer than 62 days. */
  async calendar(tenantId: string, asked: { readonly from: string; readonly to: string }): Promise<Calendar> {
    const range = rangeOf(asked);
    return this.#deps.db.inTenant(tenantId, async (tx) =>
      composeCalendar(await this.#facts(tx, range, everything)),
    );
  }

  /** A page of lanes. Errors: invalid_request for a range or a cursor that cannot be. */
  async timeline(tenantId: string, asked: Asked, may: MayRead): Promise<Timeline> {
    const range = rangeOf(asked);
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const facts = await this.#facts(tx, range, may);
      const exceptions = may.exceptions ? await lanes.exceptionsBetween(tx, range) : [];
      const works = [...facts.plans, ...facts.runs];
      const inQuestion = new Set([
        ...works.flatMap(({ hostIds }) => hostIds),
        ...exceptions.flatMap((exception) => namedHosts(exception, facts.groups)),
      ]);
      const page = await this.#lanes(tx, asked, { facts, hostIds: [...inQuestion] });
      const shownHosts = page.lanes.flatMap(({ kind, id }) => (kind === 'host' && id !== null ? [id] : []));
      const parts = await lanes.hostParts(
        tx,
        works.map(({ planId }) => planId),
        shownHosts,
      );
      return {
        lanes: page.lanes.map((lane) => laneView(lane, { works, exceptions, groups: facts.groups, parts })),
        nextCursor: page.nextCursor,
        windows: facts.windows,
        freezes: facts.freezes,
        works: works.map(workView),
        exceptions: exceptions.map(exceptionView),
        ...shownConflicts(facts),
      };
    });
  }

  async #facts(tx: TenantTx, range: Range, may: Omit<MayRead, 'exceptions'>): Promise<CalendarFacts> {
    const { windows, freezes } = may.windows
      ? await this.#deps.windows.spansBetween(tx, range.from.getTime(), range.to.getTime())
      : { windows: [], freezes: [] };
    const plans = may.plans ? await plansBetween(tx, range) : [];
    const runs = may.runs ? await runsBetween(tx, range) : [];
    const groups = await listGroups(tx);
    const truncated = plans.length === calendarLimit || runs.length === calendarLimit;
    return { windows, freezes, plans, runs, groups, truncated };
  }

  async #lanes(
    tx: TenantTx,
    asked: Asked,
    known: { readonly facts: CalendarFacts; readonly hostIds: readonly string[] },
  ): Promise<{ lanes: LaneSource[]; nextCursor: string | null }> {
    const limit = limitOf(asked);
    if (asked.by === 'host') {
      const after = decodeCursor(asked.cursor, [{ is: 'host' }, 'text', 'id'])?.slice(1) ?? null;
      const rows = await lanes.hostLanes(tx, asked, { after, limit });
      const last = rows[limit - 1];
      const more = rows.length > limit && last !== undefined;
      const nextCursor = more ? encodeCursor(['host', last.name ?? '', last.id ?? '']) : null;
      return { lanes: rows.slice(0, limit), nextCursor };
    }
    // Groups and sites are hundreds at most: a page is cut out of all of them, from a place in their order.
    const all =
      asked.by === 'site' ? await lanes.siteLanes(tx, known.hostIds) : await this.#groupLanes(tx, known);
    const from = Number(decodeCursor(asked.cursor, [{ is: asked.by }, 'integer'])?.[1] ?? 0);
    const next = from + limit;
    return {
      lanes: all.slice(from, next),
      nextCursor: next < all.length ? encodeCursor([asked.by, String(next)]) : null,
    };
  }

  async #groupLanes(
    tx: TenantTx,
    { facts, hostIds }: { readonly facts: CalendarFacts; readonly hostIds: readonly string[] },
  ): Promise<LaneSource[]> {
    const rest = await lanes.ungroupedLane(tx, hostIds);
    const groups = facts.groups.map((group): LaneSource => ({
      kind: 'group',
      ...{ id: group.id, name: group.name, maxDown: group.maxDown },
      ...{ hosts: group.hostIds.length, siteIds: [...group.siteIds], hostIds: group.hostIds },
    }));
    return rest === null ? groups : [...groups, rest];
  }
}
