import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';

/** A window or a freeze as it would be after keys have moved it; it is saved by its own dialog, or not at all. */
export type RuleDraft =
  | { readonly kind: 'window'; readonly rule: MaintenanceWindow }
  | { readonly kind: 'freeze'; readonly rule: Freeze };

/** How far a key goes: of the start, or of the length alone, minutes. */
export interface RuleMove {
  readonly startMinutes: number;
  readonly lengthMinutes: number;
}

const dayMinutes = 1440;
const leastMinutes = 15;

/** What a key with Alt asks for: arrows move, arrows with Shift make longer or shorter. Null for other keys. */
export function moveOf(
  event: Pick<KeyboardEvent, 'key' | 'altKey' | 'shiftKey'>,
  stepMinutes: number,
): RuleMove | null {
  if (!event.altKey || (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight')) return null;
  const minutes = event.key === 'ArrowLeft' ? -stepMinutes : stepMinutes;
  return event.shiftKey
    ? { startMinutes: 0, lengthMinutes: minutes }
    : { startMinutes: minutes, lengthMinutes: 0 };
}

function moveTime(time: string, minutes: number): string | null {
  const [hours = 0, rest = 0] = time.split(':').map(Number);
  const at = hours * 60 + rest + minutes;
  if (at < 0 || at >= dayMinutes) return null;
  return `${String(Math.floor(at / 60)).padStart(2, '0')}:${String(at % 60).padStart(2, '0')}`;
}

interface Schedule {
  readonly startTime: string;
  readonly durationMinutes: number;
}

/** Null when the start would leave its day: that is another rule, not another hour. */
function moveSchedule<S extends Schedule>(schedule: S, move: RuleMove): S | null {
  const startTime = moveTime(schedule.startTime, move.startMinutes);
  const durationMinutes = schedule.durationMinutes + move.lengthMinutes;
  return startTime === null || durationMinutes < leastMinutes
    ? null
    : { ...schedule, startTime, durationMinutes };
}

/** The rule after a move; null when it cannot go there. */
export function moveRule(draft: RuleDraft, move: RuleMove): RuleDraft | null {
  if (draft.kind === 'window') {
    const rule = moveSchedule(draft.rule, move);
    return rule === null ? null : { kind: 'window', rule };
  }
  const { when } = draft.rule;
  if (when.kind === 'recurring') {
    const moved = moveSchedule(when, move);
    return moved === null ? null : { kind: 'freeze', rule: { ...draft.rule, when: moved } };
  }
  const minuteMs = 60_000;
  const startMs = Date.parse(when.startsAt) + move.startMinutes * minuteMs;
  const endMs = Date.parse(when.endsAt) + (move.startMinutes + move.lengthMinutes) * minuteMs;
  if (endMs - startMs < leastMinutes * minuteMs) return null;
  const [startsAt, endsAt] = [new Date(startMs).toISOString(), new Date(endMs).toISOString()];
  return { kind: 'freeze', rule: { ...draft.rule, when: { kind: 'once', startsAt, endsAt } } };
}
