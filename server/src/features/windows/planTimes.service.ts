import type { PlanTiming } from '#contract/plans.ts';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { chooseTime, fitOf, type Considered, type Expected, type WindowTime } from './choice.policy.ts';
import type { FreezeSpan } from './freezes.policy.ts';
import { toLocal } from './localTime.policy.ts';
import type { RulesDeps } from './rules.service.ts';
import { concerns, freezeSpans } from './windows.policy.ts';
import { sitesOf } from './windows.repository.ts';
import type { WindowsService } from './windows.service.ts';

/** When a plan may run: what is signed, and why then. */
export interface PlanTime {
  readonly notBefore: string;
  readonly notAfter: string;
  readonly timing: PlanTiming;
}

interface Asked {
  readonly hostIds: readonly string[];
  readonly expected: Expected | null;
}

const second = 1000;

function invalid(path: string, [rule, message]: readonly [string, string]): AppError {
  return new AppError('invalid_request', { fields: [{ path, rule, message }] });
}

function frozen(
  names: readonly string[],
  at: { readonly startMs: number; readonly endMs: number },
): AppError {
  const span = `${toInstant(at.startMs)} – ${toInstant(at.endMs)}`;
  return new AppError('frozen', { detail: `${names.map((name) => `« ${name} »`).join(', ')} (${span})` });
}

function words(
  window: MaintenanceWindow,
  { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
) {
  return {
    windowId: window.id,
    name: window.name,
    startsAt: toInstant(startMs),
    endsAt: toInstant(endMs),
    startsLocal: toLocal(startMs, window.timeZone),
    endsLocal: toLocal(endMs, window.timeZone),
  };
}

function expectedView(expected: Expected | null): PlanTiming['expectedSeconds'] {
  if (expected === null) return null;
  const { lowMs, highMs, runs, hostsOnLimits } = expected;
  return { low: Math.round(lowMs / second), high: Math.round(highMs / second), runs, hostsOnLimits };
}

function windowView(time: WindowTime): NonNullable<PlanTiming['window']> {
  return {
    ...words(time.window, time),
    timeZone: time.window.timeZone,
    startBy: toInstant(time.startByMs),
    changeBy: toInstant(time.changeByMs),
  };
}

/** Gives plans their time: from windows, or one that somebody named, and never in a freeze. */
export class PlanTimesService {
  readonly #deps: Pick<RulesDeps, 'clock'>;
  readonly #rules: WindowsService;

  constructor(deps: Pick<RulesDeps, 'clock'>, rules: WindowsService) {
    this.#deps = deps;
    this.#rules = rules;
  }

  /** The earliest coming time of these windows, after `afterMs`, into which the plan fits. Errors: invalid_request, frozen. */
  async fromWindows(
    tx: TenantTx,
    asked: Asked & { readonly windowIds: readonly string[]; readonly afterMs?: number },
  ): Promise<PlanTime> {
    const siteIds = await sitesOf(tx, asked.hostIds);
    const windows = await this.#windows(tx, asked.windowIds, siteIds);
    const freezes: Freeze[] = await this.#rules.freezes.all(tx);
    const { expected, afterMs = 0 } = asked;
    const nowMs = Math.max(this.#deps.clock.now(), afterMs);
    const { chosen, considered } = chooseTime(windows, { freezes, siteIds, nowMs, expected });
    if (chosen === null) throw this.#none(considered);
    return {
      notBefore: toInstant(chosen.startMs),
      notAfter: toInstant(chosen.hardStopMs),
      timing: {
        window: windowView(chosen),
        expectedSeconds: expectedView(expected),
        fit: chosen.fit,
        ...(chosen.limit === null ? {} : { limit: chosen.limit }),
        considered: considered.map(({ window, code, freezes: names, ...span }) => ({
          ...words(window, span),
          code,
          freezes: [...names],
        })),
      },
    };
  }

  /** A time that somebody named. Errors: frozen, when a freeze holds any of it. */
  async given(
    tx: TenantTx,
    asked: Asked & { readonly notBefore: string; readonly notAfter: string },
  ): Promise<PlanTime> {
    const { notBefore, notAfter, expected } = asked;
    const span = { startMs: Date.parse(notBefore), endMs: Date.parse(notAfter) };
    const found = await this.#freezesIn(tx, asked.hostIds, span);
    const [first] = found;
    if (first !== undefined) throw frozen([...new Set(found.map(({ name }) => name))], first);
    const { endMs } = span;
    const { fit, limit } = fitOf(
      { ...span, startByMs: endMs, changeByMs: endMs, hardStopMs: endMs },
      expected,
    );
    const timing = { window: null, expectedSeconds: expectedView(expected), fit, considered: [] };
    return { notBefore, notAfter, timing: limit === null ? timing : { ...timing, limit } };
  }

  async #freezesIn(
    tx: TenantTx,
    hostIds: readonly string[],
    { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
  ): Promise<FreezeSpan[]> {
    const siteIds = await sitesOf(tx, hostIds);
    const freezes: Freeze[] = await this.#rules.freezes.all(tx);
    return freezeSpans(
      freezes.filter(({ siteId }) => concerns(siteId, siteIds)),
      startMs,
      endMs,
    ).sort((a, b) => a.startMs - b.startMs);
  }

  async #windows(
    tx: TenantTx,
    windowIds: readonly string[],
    siteIds: readonly string[],
  ): Promise<MaintenanceWindow[]> {
    const windows: MaintenanceWindow[] = [];
    for (const [n, windowId] of windowIds.entries()) {
      const window = await this.#rules.windows.getIn(tx, windowId);
      const path = `/body/windowIds/${n}`;
      if (window === null) throw invalid(path, ['exists', 'there is no such window here']);
      if (!concerns(window.siteId, siteIds))
        throw invalid(path, ['site', 'this window is of a site on which none of these hosts is']);
      windows.push(window);
    }
    return windows;
  }

  #none(considered: readonly Considered[]): AppError {
    const [first] = considered;
    if (first === undefined)
      return invalid('/body/windowIds', ['occurrence', 'these windows do not come again']);
    return frozen([...new Set(considered.flatMap(({ freezes }) => freezes))], first);
  }
}
