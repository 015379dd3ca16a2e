import type {
  Freeze,
  FreezeBody,
  MaintenanceWindow,
  Occurrence,
  WindowBody,
  WindowPreview,
} from '#contract/windows.ts';
import type { TenantTx } from '../../platform/db.ts';
import { found } from '../../platform/errors.ts';
import { freezeAt, type FreezeSpan } from './freezes.policy.ts';
import { spansOf, type RuleSpans } from './spans.policy.ts';
import { RulesService, type RulesDeps } from './rules.service.ts';
import {
  comingOccurrences,
  concerns,
  defaultWindow,
  freezeSpans,
  judgeFreeze,
  judgeWindow,
  previewFreezeTimes,
} from './windows.policy.ts';

/** Windows and freezes, and what is asked of them: the next times, a calendar, whether something is frozen. */
export class WindowsService {
  readonly windows: RulesService<WindowBody>;
  readonly freezes: RulesService<FreezeBody>;
  readonly #deps: RulesDeps;

  constructor(deps: RulesDeps) {
    this.#deps = deps;
    this.windows = new RulesService<WindowBody>(deps, {
      table: 'windows',
      subject: 'window',
      judge: judgeWindow,
    });
    this.freezes = new RulesService<FreezeBody>(deps, {
      table: 'freezes',
      subject: 'freeze',
      judge: judgeFreeze,
    });
  }

  /** The next five, freezes taken out. Errors: not_found. */
  async occurrences(tenantId: string, windowId: string): Promise<{ items: Occurrence[] }> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const window = found(await this.windows.getIn(tx, windowId));
      return { items: comingOccurrences(window, await this.freezes.all(tx), this.#deps.clock.now()) };
    });
  }

  /** The next five of a window that is not saved, or what is wrong with it. */
  async previewWindow(tenantId: string, body: WindowBody): Promise<WindowPreview> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const problems = await this.windows.problemsOf(tx, body);
      if (problems.length > 0) return { problems, occurrences: [] };
      const freezes: Freeze[] = await this.freezes.all(tx);
      return { problems, occurrences: comingOccurrences(body, freezes, this.#deps.clock.now()) };
    });
  }

  /** The next five times of a freeze that is not saved, or what is wrong with it. */
  async previewFreeze(tenantId: string, body: FreezeBody): Promise<WindowPreview> {
    const problems = await this.#deps.db.inTenant(tenantId, (tx) => this.freezes.problemsOf(tx, body));
    return problems.length > 0
      ? { problems, occurrences: [] }
      : previewFreezeTimes(body, this.#deps.clock.now());
  }

  /** Occurrences of windows, freezes taken out, and of freezes, that touch [fromMs, toMs). */
  async spansBetween(tx: TenantTx, fromMs: number, toMs: number): Promise<RuleSpans> {
    const windows: MaintenanceWindow[] = await this.windows.all(tx);
    const freezes: Freeze[] = await this.freezes.all(tx);
    return spansOf({ windows, freezes }, fromMs, toMs);
  }

  /** Gives a new site its window: Saturday 20:00 to Sunday 12:00 on its own clock. */
  siteCreated(
    tx: TenantTx,
    site: { readonly id: string; readonly name: string; readonly timeZone: string },
  ): Promise<void> {
    return this.windows.createBeside(tx, defaultWindow(site));
  }

  /** The freeze that holds any of these sites at an instant, or null. */
  async frozenAt(tx: TenantTx, siteIds: readonly string[], atMs: number): Promise<FreezeSpan | null> {
    const freezes: Freeze[] = await this.freezes.all(tx);
    const ours = freezes.filter(({ siteId }) => concerns(siteId, siteIds));
    return freezeAt(freezeSpans(ours, atMs, atMs + 1), atMs);
  }
}
