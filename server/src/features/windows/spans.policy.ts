import type { Calendar } from '#contract/calendar.ts';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { occurrencesBetween } from './occurrences.policy.ts';
import { concerns, freezeSpans, occurrenceView } from './windows.policy.ts';

/** What windows and freezes say about a span. */
export type RuleSpans = Pick<Calendar, 'windows' | 'freezes'>;

interface Rules {
  readonly windows: readonly MaintenanceWindow[];
  readonly freezes: readonly Freeze[];
}

function windowSpans({ windows, freezes }: Rules, fromMs: number, toMs: number): Calendar['windows'] {
  return windows.flatMap(({ id, name, siteId, timeZone, ...schedule }) => {
    const ours = freezes.filter((freeze) => concerns(freeze.siteId, siteId === null ? null : [siteId]));
    return occurrencesBetween({ ...schedule, timeZone }, fromMs, toMs).map((occurrence) => ({
      windowId: id,
      name,
      siteId,
      timeZone,
      // A freeze outside the page may still cut a window that reaches into it.
      occurrence: occurrenceView(
        occurrence,
        timeZone,
        freezeSpans(ours, occurrence.startMs, occurrence.endMs),
      ),
    }));
  });
}

/** Every occurrence that touches [fromMs, toMs). Pure. */
export function spansOf(rules: Rules, fromMs: number, toMs: number): RuleSpans {
  return {
    windows: windowSpans(rules, fromMs, toMs),
    freezes: rules.freezes.flatMap(({ siteId, reason, ...freeze }) =>
      freezeSpans([{ ...freeze, siteId, reason }], fromMs, toMs).map(
        ({ freezeId, name, startMs, endMs }) => ({
          freezeId,
          name,
          reason,
          siteId,
          startsAt: new Date(startMs).toISOString(),
          endsAt: new Date(endMs).toISOString(),
        }),
      ),
    ),
  };
}
